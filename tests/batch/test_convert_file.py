"""One file into another: length, rate, channels, level, the same bits again. Built-in and tiny RVC voices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from rwc_daemon.batch.convert import START, TargetFormat, convert_file, convert_samples
from rwc_daemon.batch.sound_file import read_sound
from rwc_daemon.dsp.high_pass import HighPass
from rwc_daemon.errors import BadAudio, OutOfRange
from rwc_daemon.voices.builtin.voice import load_builtin
from testkit.plain_voices import DelayVoice


def vowel(rate: int, seconds: float = 1.0, hz: float = 150.0, peak: float = 0.5) -> np.ndarray:
    t = np.arange(round(rate * seconds)) / rate
    phase = 2 * np.pi * hz * (t + 0.02 * np.sin(2 * np.pi * 2 * t))
    x = sum(np.sin(k * phase) / k for k in range(1, 12) if k * hz * 1.3 < rate / 2)
    return (peak * x / np.abs(x).max()).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_a_voice_that_changes_nothing_changes_what_lies_below_speech_only(rate):
    x = vowel(rate)
    y = convert_samples(x, rate, rate, DelayVoice(delay=777), START)
    assert len(y) == len(x)
    middle = slice(rate // 10, -rate // 10)
    wanted = HighPass(rate).feed(x)
    assert np.abs(y - wanted)[middle].max() < (
        1e-7 if rate in (44100, 48000, 96000) else 3e-3
    )  # there the filter runs at another rate


@pytest.mark.parametrize("samples", [1, 7, 441, 44101])
def test_every_length_is_kept(samples):
    x = np.full(samples, 0.1, np.float32)
    for rate_out in (8000, 44100, 48000):
        y = convert_samples(x, 44100, rate_out, load_builtin("bright"), START)
        assert len(y) == round(samples * rate_out / 44100)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize(("rate", "channels"), [(44100, 1), (22050, 2), (48000, 2)])
def test_files_of_each_format(tmp_path, suffix, rate, channels):
    source, target = tmp_path / f"in.{suffix}", tmp_path / ("out.flac" if suffix == "mp3" else f"out.{suffix}")
    soundfile.write(source, np.repeat(vowel(rate)[:, None], channels, axis=1), rate)
    told = []
    done = convert_file(source, target, load_builtin("deep"), START, progress=told.append)
    before, after = read_sound(source), read_sound(target)
    assert (after.rate, after.channels) == (rate, 1)
    assert len(after.x) == len(before.x) == done.frames
    assert done.downmixed == (channels if channels > 1 else 0)
    assert told[-1] == 1.0
    assert told == sorted(told)


def test_the_wanted_rate_and_channels(tmp_path):
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, np.stack([vowel(44100), 0.5 * vowel(44100)], axis=1), 44100, "PCM_24")
    convert_file(source, target, load_builtin("deep"), START, wanted=TargetFormat(rate=16000, stereo=True))
    x, rate = soundfile.read(target, dtype="float32")
    assert (rate, x.shape) == (16000, (16000, 2))
    assert (x[:, 0] == x[:, 1]).all()
    assert soundfile.info(target).subtype == "PCM_24"


@pytest.mark.parametrize("rate_out", [44100, 48000])
def test_nothing_leaves_above_full_scale(rate_out):
    loud = np.sign(vowel(44100)) * np.float32(0.999)
    y = convert_samples(loud, 44100, rate_out, DelayVoice(), replace(START, output_gain_db=20))
    assert 0.8 < np.abs(y).max() <= 0.9996


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    source = tmp_path / "in.wav"
    soundfile.write(source, vowel(48000), 48000)
    results = []
    for name, seed in (("a.wav", 5), ("b.wav", 5), ("c.wav", 6)):
        convert_file(source, tmp_path / name, load_builtin("whisper"), START, seed)
        results.append((tmp_path / name).read_bytes())
    assert results[0] == results[1]
    assert results[0] != results[2]


def test_the_source_is_never_overwritten(tmp_path):
    source, link = tmp_path / "in.wav", tmp_path / "link.wav"
    soundfile.write(source, vowel(48000), 48000)
    link.symlink_to(source)
    for target in (source, link):
        with pytest.raises(BadAudio, match="the source itself"):
            convert_file(source, target, DelayVoice(), START)


def test_a_pause_is_left_as_it_is():
    quiet = 1e-4 * vowel(48000)  # -86 dB: the live gate would shut
    y = convert_samples(quiet, 48000, 48000, DelayVoice(), START)
    assert y.std() == pytest.approx(HighPass(48000).feed(quiet).std(), rel=1e-3)


def test_an_rvc_voice_from_its_file(tmp_path):
    pytest.importorskip("torch")
    from rwc_daemon.voices.repository import VoiceRepository
    from testkit.makers import make_assets, make_voice

    make_assets(tmp_path / "data" / "assets", names=("contentvec",))
    model = make_voice(tmp_path, "v2-40k-f0")
    voice = VoiceRepository(tmp_path / "data").load_file(model, device="cpu")
    x = vowel(44100, 1.5)
    controls = replace(START, f0_method="yin", pitch=3)
    first, again = (convert_samples(x, 44100, 44100, voice, controls, seed=1) for _ in range(2))
    other = convert_samples(x, 44100, 44100, voice, controls, seed=2)
    assert len(first) == len(x)
    assert (first == again).all()
    assert (first != other).any()
    assert not (tmp_path / "data" / "voices").exists()
    with pytest.raises(OutOfRange, match="speakers 0 … 2"):
        convert_samples(x, 44100, 44100, voice, replace(controls, speaker=9))
