"""Training: what is spoken, what is heard, that learning lowers the loss, stops and goes on."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import soundfile
import soxr
import torch

from rwc_daemon.voices.f0.yin import Yin
from rwc_daemon.voices.light import shape, weights
from rwc_daemon.voices.light.training import augment, corpus, distil, export, features, learn, nets, sentences
from rwc_daemon.voices.light.training.speakers import HELD_OUT, MEN, SHIPPED, WOMEN
from testkit.builtin.sounds import glide, vowel

SECONDS = 0.8


def write_pair(folder, name: str, speaker: int) -> None:
    """What the teacher would have left: a vowel by two speakers with one pitch."""
    hz = glide(100, 150, SECONDS, shape.RATE)
    pair = np.stack([0.2 * vowel(hz, shape.RATE), 0.2 * vowel(1.5 * hz, shape.RATE)], axis=1)
    soundfile.write(folder / f"{name}.flac", pair, shape.RATE, subtype="PCM_16")
    frames = len(pair) // 300
    np.save(folder / f"{name}.npy", hz[::300][:frames].astype(np.float32))
    about = {"number": int(name), "speaker": speaker, "text": "ah", "seconds": len(pair) / shape.RATE}
    (folder / f"{name}.json").write_text(json.dumps(about))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for n in range(4):
        write_pair(folder, f"{n:05d}", n)
    return folder


@pytest.fixture(scope="module")
def content_net() -> nets.Content:
    torch.manual_seed(1)
    net = nets.Content().eval()
    net.mel[:] = torch.rand(net.mel.shape)
    return net


@pytest.fixture(scope="module")
def examples(folder, content_net):
    return [features.example(item, content_net, folder / "kept") for item in corpus.items(folder)]


def test_sentences_come_from_the_seed_and_none_is_held_out():
    drawn = [sentences.draw(np.random.default_rng((1, n))) for n in range(500)]
    assert drawn == [sentences.draw(np.random.default_rng((1, n))) for n in range(500)]
    assert not {one.text for one in drawn} & set(sentences.HELD_OUT)
    assert {one.language for one in drawn} >= {"en-us", "en-gb", "es", "fr-fr", "it", "pt-br"}


def test_speakers_are_blends_and_judges_are_never_heard():
    assert not set(HELD_OUT) & {*WOMEN, *MEN, *(name for one in SHIPPED for name in one.blend)}
    for one in SHIPPED:
        assert sum(one.blend.values()) == pytest.approx(1)
        assert len(one.blend) > 1


def test_a_changed_voice_is_as_long_as_its_ratio_says():
    x = np.asarray(0.2 * vowel(glide(100, 150, 2.0, 16000), 16000), np.float32)
    for n in range(30):
        y, ratio = augment.changed(x, np.random.default_rng(n))
        assert len(y) == pytest.approx(len(x) / ratio, abs=2)
        assert np.isfinite(y).all()
        assert y.dtype == np.float32


def test_examples_are_in_time_and_kept(folder, content_net, examples):
    one = examples[0]
    hops = len(one.sound) // shape.HOP
    assert len(one.views) == features.SOURCE_VIEWS + features.TARGET_VIEWS
    for view in one.views:
        assert view.conditions.shape == (3, hops)
        assert view.content.shape == (hops // 2 + 1, shape.CONTENT)
    again = features.example(next(corpus.items(folder)), content_net, folder / "kept")
    assert all(np.array_equal(a.content, b.content) for a, b in zip(one.views, again.views, strict=True))
    heard = Yin().track(soxr.resample(one.pulses, shape.RATE, 16000))[5:-5]
    assert np.allclose(heard, one.pitch[5 : 5 + len(heard)], rtol=0.03), "the excitation has the target's pitch"


def test_learning_lowers_the_loss_stops_and_goes_on(tmp_path, examples):
    recipe = learn.Recipe(batch=1, hops=50, critics_samples=4800, warm_up=5, critics_from=24, report_every=26)
    said: list[str] = []
    learner = learn.Learner(tmp_path, 4, recipe)
    learner.normalise(examples)
    before = learner.validate(examples[:1])
    learner.mean.load_state_dict(learner.net.state_dict())
    learner.run(examples, examples[:1], 300, say=said.append, last_step=26)
    learner.mean.load_state_dict(learner.net.state_dict())
    assert learner.validate(examples[:1]) < before
    assert "critics" in said[-1]
    learner.save()
    other = learn.Learner(tmp_path, 4, recipe)
    assert other.step == learner.step
    kept = zip(other.net.state_dict().values(), learner.net.state_dict().values(), strict=True)
    assert all(torch.allclose(a, b, atol=2e-3, rtol=2e-3) for a, b in kept), "half precision on disk"


def test_what_is_exported_is_what_the_voice_reads(tmp_path, examples, content_net):
    learner = learn.Learner(tmp_path / "made", 4, learn.Recipe())
    learner.save()
    distil._save(content_net, tmp_path / "made" / "content.safetensors")
    export.export(tmp_path / "made", tmp_path / "shipped", examples)
    for number, one in enumerate(SHIPPED):
        speaker = weights.speaker(tmp_path / "shipped" / f"{one.name}.safetensors")
        assert speaker.pitch_hz == pytest.approx(122, rel=0.05)
        wanted = learner.mean.speaker.weight[number].detach().numpy()
        assert np.allclose(speaker.embedding, wanted, atol=2e-3)
    arrays, _ = weights.read(tmp_path / "shipped" / "decoder.safetensors")
    assert "speaker.weight" not in arrays


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="no espeak-ng here")
def test_the_encoder_learns_from_the_full_one(tmp_path, folder, content_net):
    full = nets.Content((15, 15, 15, 15), causal=False).eval()
    full.mel[:] = content_net.mel
    net = nets.Content()
    net.mel[:] = content_net.mel
    before = {name: value.clone() for name, value in net.state_dict().items()}
    distil.distil(net, full, folder, tmp_path / "content.safetensors", 0.5, begin_with=2)
    assert (tmp_path / "content.safetensors").exists()
    assert any(not torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_damaged_speaker_is_said_in_a_sentence(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"no such thing")
    with pytest.raises(weights.BadModel, match="is no file of a light voice"):
        weights.speaker(tmp_path / "bad.safetensors")
