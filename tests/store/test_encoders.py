"""Other content encoders: by which names they are asked for, brought in and found; and that they are then used."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from rwc_daemon.controls import Controls
from rwc_daemon.errors import BadModel, MissingAsset, Unsupported
from rwc_daemon.plan import Plan
from rwc_daemon.store import encoders, layout_support
from rwc_daemon.store.assets import Assets
from rwc_daemon.store.voices import VoiceStore
from rwc_daemon.voices.repository import VoiceRepository
from testkit.makers import make_asset, make_assets, make_voice
from testkit.voice_maker import TINY_CONTENT

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("contentvec", "contentvec"),
        ("hubert_base", "contentvec"),
        ("contentvec768", "contentvec"),
        ("hubert_base768", "contentvec"),
        ("", "contentvec"),
        ("  ", "contentvec"),
        ("spin", "spin"),
        ("Spin", "spin"),
        ("spin_v2", "spin-v2"),
        ("japanese-hubert-base", "japanese-hubert-base"),
        ("hubert-base-japanese768", "japanese-hubert-base"),
        ("custom", "custom"),
        ("../../rmvpe", "rmvpe"),
    ],
)
def test_names(said: str, name: str) -> None:
    assert encoders.encoder_id(said) == name


def other_encoder(folder: Path, form: str = "hf", projection: bool = True, **extra: torch.Tensor) -> Path:
    """A content encoder of the right shape and other weights."""
    path = make_asset(folder, "contentvec", form=form)
    held = torch.load(path, weights_only=form == "hf")
    state = held if form == "hf" else held["model"]
    for name in list(state):
        if name.startswith("final_proj") and not projection:
            del state[name]
        elif name.startswith("encoder.layers.0") and name.endswith("weight"):
            state[name] = state[name].flip(0)
    state |= extra
    torch.save(held, path)
    return path


@pytest.mark.parametrize("form", ["hf", "fairseq"])
def test_brought_in_by_the_name_that_voices_say(form: str, tmp_path: Path) -> None:
    (tmp_path / "got").mkdir()
    assets = make_assets(tmp_path / "assets", names=("contentvec",))
    if form == "fairseq":  # its class is known while the file is made, and only then
        path = make_asset(tmp_path / "got", "contentvec", form=form)
    else:
        path = other_encoder(tmp_path / "got")
    for name in ("spin", "my own_768", "custom"):
        stored = assets.add(path, name)
        assert stored == assets.path(encoders.encoder_id(name))
        assert stored.name.startswith("encoder-")
    assert [one.name for one in assets.list() if one.installed] == ["contentvec", "custom", "my-own", "spin"]
    assets.remove("custom")
    assert not assets.has("custom")
    assert assets.has("contentvec")


def test_a_folder_of_that_name_says_it(tmp_path: Path) -> None:
    folder = tmp_path / "embedders/spin-v2"
    folder.mkdir(parents=True)
    other_encoder(folder)
    assets = Assets(tmp_path / "assets")
    assert assets.add(folder) == assets.path("spin-v2")
    assert not assets.has("contentvec")
    shutil.move(folder / "pytorch_model.bin", tmp_path / "Spin.bin")
    assert assets.add(tmp_path / "Spin.bin") == assets.path("spin")
    assert assets.add(tmp_path / "Spin.bin", "hubert_base") == assets.path("contentvec")


def test_which_shapes_are_accepted(tmp_path: Path) -> None:
    assets = Assets(tmp_path / "assets")
    with pytest.raises(BadModel, match="gives 32 and 8 features, RVC voices need 768 and 256"):
        assets.add(GOLDEN / "tiny_hubert_hf.pth", "spin")
    without = other_encoder(tmp_path, projection=False, **{"lm_head.weight": torch.zeros(3, 768)})
    with pytest.raises(BadModel, match=r"without the projection that contentvec has: say which"):
        assets.add(without)
    assets.add(without, "japanese-hubert-base")
    kept = load_file(assets.path("japanese-hubert-base"))
    wanted = layout_support.content_shapes(**TINY_CONTENT, projection=0)
    assert {name: array.shape for name, array in kept.items()} == wanted
    with pytest.raises(BadModel, match="is a content encoder, not 'rmvpe'"):
        assets.add(without, "rmvpe")
    normed = other_encoder(tmp_path, **{"feature_extractor.conv_layers.1.layer_norm.weight": torch.ones(16)})
    with pytest.raises(Unsupported, match="normalises after every convolution"):
        assets.add(normed, "spin")
    with pytest.raises(MissingAsset, match="no support file is named 'spin'"):
        assets.add(make_asset(tmp_path, "crepe-tiny"), "spin")


def test_its_own_encoder_is_used_live_and_for_files(tmp_path: Path) -> None:
    (tmp_path / "spin").mkdir()
    data = tmp_path / "data"
    assets = make_assets(data / "assets", names=("contentvec",))
    model = make_voice(tmp_path, applio=True, name="anna", embedder_model="spin")
    VoiceStore(data / "voices").bring_in([model])
    repository = VoiceRepository(data)
    (info,) = [voice for voice in repository.list() if voice.id == "anna"]
    assert info.embedder == "spin"
    assert len(info.notes) == 1
    assert "'spin', which is not here" in info.notes[0]
    assert "`rwcctl assets add PATH --name spin`" in info.notes[0]

    sound = np.random.default_rng(0).standard_normal(4800).astype("f4") * 0.1

    def played() -> tuple[np.ndarray, np.ndarray]:
        """By a voice in the library (live) and one straight from its file (as `convert --model`)."""
        made = []
        for voice in (repository.load("anna", "cpu"), repository.load_file(model, device="cpu")):
            controls = Controls(f0_method="yin", quality="low")
            plan = Plan.fit(48000, 480, voice.block)
            session = voice.open(plan, controls)
            blocks = [np.resize(sound, plan.block) for _ in range(3)]
            made.append(np.concatenate([session.convert(block, controls) for block in blocks]))
        return made[0], made[1]

    before = played()
    assets.add(other_encoder(tmp_path / "spin"))
    after = played()
    assert [voice.notes for voice in repository.list() if voice.id == "anna"] == [()]
    shutil.copy(assets.path("spin"), assets.path("contentvec"))  # the same weights as the usual encoder
    assets.remove("spin")
    usual = played()
    for one, other, third in zip(before, after, usual, strict=True):
        assert np.abs(one).max() > 1e-4
        assert np.abs(one - other).max() > 1e-4
        assert np.array_equal(other, third)


def test_an_encoder_without_projection_is_not_for_v1(tmp_path: Path) -> None:
    assets = make_assets(tmp_path / "assets", names=("contentvec",))
    assets.add(other_encoder(tmp_path, projection=False), "spin")
    for kind in ("v1-40k-nof0", "v2-40k-nof0"):
        VoiceStore(tmp_path / "voices").bring_in([make_voice(tmp_path, kind, embedder_model="spin")])
    repository = VoiceRepository(tmp_path)
    repository.load("v2-40k-nof0", "cpu")
    with pytest.raises(Unsupported, match=r"'spin' has no projection to the 256 features of v1.*assets remove spin"):
        repository.load("v1-40k-nof0", "cpu")


def test_a_folder_with_everything(tmp_path: Path) -> None:
    folder = tmp_path / "RVC"
    for name in ("embedders/spin", "embedders/contentvec", "again"):
        (folder / name).mkdir(parents=True)
    make_asset(folder, "rmvpe")
    make_asset(folder, "crepe-tiny")
    other_encoder(folder / "embedders/spin")
    make_asset(folder / "embedders/contentvec", "contentvec")
    make_asset(folder / "again", "rmvpe")
    make_voice(folder, name="anna")
    (folder / "notes.txt").write_text("hello")
    (folder / "page.pt").write_text("<html>")
    assets = Assets(tmp_path / "assets")
    told: list[float] = []
    added, left_out = assets.add_all(folder, told.append)
    assert sorted(path.stem for path in added) == ["contentvec", "crepe-tiny", "encoder-spin", "rmvpe"]
    assert [one.name for one in assets.list() if one.installed] == ["contentvec", "rmvpe", "crepe-tiny", "spin"]
    assert sum("a voice, not a support file" in one for one in left_out) == 1
    assert sum("a second 'rmvpe'" in one for one in left_out) == 1
    assert sum("web page" in one for one in left_out) == 1
    assert len(left_out) == 3
    assert told == sorted(told)
    assert told[-1] == 1.0
    (tmp_path / "void").mkdir()
    with pytest.raises(BadModel, match="holds no file that could be a support file"):
        assets.add_all(tmp_path / "void")


def test_a_stored_note_of_an_older_version_is_renewed(tmp_path: Path) -> None:
    old = ("made for the content encoder 'spin': with contentvec it may sound wrong", "another note")
    assets = Assets(tmp_path)
    assert encoders.notes_now(old, "spin", assets) == ("another note", encoders.note("spin"))
    (tmp_path / "encoder-spin.safetensors").write_bytes(b"")
    assert encoders.notes_now(old, "spin", assets) == ("another note",)
