"""What is brought in, what is refused, and in which words."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from rwc_daemon.errors import BadModel, OutOfRange, RwcError, Unsupported
from rwc_daemon.store.voices import VoiceStore
from testkit.makers import make_asset, make_index, make_onnx, make_training, make_voice
from testkit.voice_maker import KINDS


def refused(store: VoiceStore, *paths: Path, words: str, kind: type[RwcError] = BadModel) -> None:
    """The files are refused in these words, in one line, and the store is as it was."""
    before = store.list()
    with pytest.raises(kind, match=words) as caught:
        store.bring_in(list(paths))
    assert "\n" not in str(caught.value)
    assert store.list() == before
    assert [one.name for one in store.root.iterdir() if one.name != ".staging"] == [card.id for card in before]
    assert not list((store.root / ".staging").iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_in_with_its_weights(kind: str, tmp_path: Path, store: VoiceStore) -> None:
    path = make_voice(tmp_path, kind)
    (card,) = store.bring_in([path])
    version, rate, pitch = kind.split("-")
    assert (card.version, card.rate, card.f0) == (version, 1000 * int(rate[:2]), pitch == "f0")
    assert (card.id, card.kind, card.speakers, card.config[15], card.vocoder) == (kind, "rvc", 3, 3, "HiFi-GAN")
    stored, original = load_file(card.weights), torch.load(path, weights_only=True)["weight"]
    assert stored.keys() == original.keys()
    assert all(stored[name].dtype == np.float16 for name in stored)
    assert all(np.array_equal(stored[name], original[name].numpy()) for name in stored)


def test_a_voice_and_its_index(made: Path, store: VoiceStore) -> None:
    cards = store.bring_in([made])
    assert [card.id for card in cards] == ["anna", "bob"]
    for card in cards:
        assert card.index is not None
        assert card.index.read_bytes() == next(made.glob(f"*{card.id}*.index")).read_bytes()
    assert {oct(path.stat().st_mode & 0o777) for path in store.root.rglob("*") if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in store.root.rglob("*") if path.is_dir()} == {"0o700"}


def test_an_index_alone_joins_the_voice_of_its_width_and_name(made: Path, store: VoiceStore) -> None:
    store.bring_in([made / "anna.pth"])
    store.bring_in([made / "bob.pth"])
    (card,) = store.bring_in([next(made.glob("*anna*.index"))])
    assert (card.id, card.index) == ("anna", card.folder / "voice.index")
    assert store.get("bob").index is None


@pytest.mark.parametrize("legacy", [False, True])
def test_applio_names_and_both_containers(legacy: bool, tmp_path: Path, store: VoiceStore) -> None:
    path = make_voice(tmp_path, applio=True, legacy=legacy, speakers=4, embedder_model="spin", license="MIT")
    (card,) = store.bring_in([path], name=" My \n voice ")
    assert (card.name, card.id, card.speakers, card.licence, card.embedder) == (
        "My voice",
        "my-voice",
        4,
        "MIT",
        "spin",
    )
    assert "spin" in card.notes[0]
    assert "dec.ups.0.weight_g" in load_file(card.weights)


def test_newer_floats_and_leftovers_of_training(tmp_path: Path, store: VoiceStore) -> None:
    held = torch.load(make_voice(tmp_path), weights_only=True)
    held["weight"] = {name: tensor.bfloat16() for name, tensor in held["weight"].items()}
    held["weight"]["enc_q.pre.bias"] = torch.zeros(3)
    del held["version"], held["f0"]
    held["weight"]["enc_p.emb_phone.weight"] = torch.zeros(16, 256)
    torch.save(held, tmp_path / "voice.pth")
    (card,) = store.bring_in([tmp_path / "voice.pth"])
    assert (card.version, card.f0) == ("v1", True)  # without a word, v1 with pitch
    stored = load_file(card.weights)
    name = "dec.conv_pre.weight"
    assert np.array_equal(stored[name], held["weight"][name].float().numpy())
    assert "enc_q.pre.bias" not in stored


def test_a_safetensors_voice(tmp_path: Path, anna: Path, store: VoiceStore) -> None:
    held = torch.load(anna, weights_only=True)
    notes = {"config": str(held["config"]).replace("'", '"'), "f0": "1", "version": "v2", "sr": "40k"}
    save_file({name: tensor.numpy() for name, tensor in held["weight"].items()}, tmp_path / "st.safetensors", notes)
    (card,) = store.bring_in([tmp_path / "st.safetensors"])
    assert (card.version, card.rate, card.f0) == ("v2", 40000, True)
    save_file({name: tensor.numpy() for name, tensor in held["weight"].items()}, tmp_path / "weights_only.safetensors")
    refused(store, tmp_path / "weights_only.safetensors", words="without its configuration: import the .pth")


@pytest.mark.parametrize(("client", "kind"), [(False, "v2-40k-f0"), (True, "v1-48k-nof0"), (True, "v2-32k-f0")])
def test_onnx_exports(client: bool, kind: str, tmp_path: Path, store: VoiceStore) -> None:
    path = make_onnx(tmp_path, kind, client)
    (card,) = store.bring_in([path])
    version, rate, pitch = kind.split("-")
    assert (card.kind, card.version, card.rate, card.f0) == ("rvc-onnx", version, 1000 * int(rate[:2]), pitch == "f0")
    assert card.weights.read_bytes() == path.read_bytes()


def test_names_come_from_where_the_name_is(anna: Path, tmp_path: Path, store: VoiceStore) -> None:
    folder = tmp_path / "Ёлка & Co"
    folder.mkdir()
    shutil.copy(anna, folder / "model.pth")
    (card,) = store.bring_in([folder])
    assert card.id == "ёлка-co"
    store.remove(card.id)
    with zipfile.ZipFile(tmp_path / "Zoe.zip", "w") as archive:
        archive.write(anna, "weights/model.pth")
        archive.writestr("readme.txt", "hello")
    assert store.bring_in([tmp_path / "Zoe.zip"])[0].name == "Zoe"
    for wanted in ("anna", "anna-2"):
        (card,) = store.bring_in([make_voice(tmp_path, name="anna", epoch=wanted)])
        assert (card.id, card.name) == (wanted, "anna")
    assert store.bring_in([anna], name="deep")[0].id == "deep-2"
    assert store.bring_in([anna], name="../../etc")[0].id == "etc"
    assert store.bring_in([anna], name="…")[0].id == "voice"


def test_support_files_and_training_beside_a_voice_are_left_out(anna: Path, tmp_path: Path, store: VoiceStore) -> None:
    make_training(tmp_path)
    make_asset(tmp_path, "fcpe")
    make_index(tmp_path, 768, 60, "trained", name="anna")
    shutil.copy(anna, tmp_path)
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><html>")
    assert [card.id for card in store.bring_in([tmp_path])] == ["anna"]


def test_files_that_are_no_voice(tmp_path: Path, made: Path, anna: Path, store: VoiceStore) -> None:
    store.bring_in([anna])

    def file(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    data = anna.read_bytes()
    refused(store, file("empty.pth", b""), words="empty.pth: the file is empty: get it again")
    refused(store, file("page.pth", b"\n<!DOCTYPE html><html>"), words="web page.*download the file itself")
    refused(
        store, file("lfs.pth", b"version https://git-lfs.github.com/spec/v1\n"), words="Git LFS pointer.*git lfs pull"
    )
    refused(store, file("cut.pth", data[: len(data) // 2]), words="incomplete or damaged: get the file again")
    refused(store, file("song.pth", b"RIFF\0\0\0\0WAVEfmt "), words="is no voice.*check what was downloaded")
    refused(store, file("x.7z", b"7z\xbc\xaf\x27\x1c"), words="7z archive: unpack it", kind=Unsupported)
    refused(store, make_training(tmp_path), words="training checkpoint.*extract a voice from it")
    refused(store, make_asset(tmp_path, "rmvpe"), words="support file .rmvpe., not a voice: `rwcctl assets add`")
    refused(store, make_asset(tmp_path, "contentvec", form="fairseq"), words="support file .contentvec.")
    refused(store, make_index(tmp_path, 768, 60, "trained"), words="index is empty.*'added_….index'")
    refused(store, make_index(tmp_path, 512, 60), words="index is 512 wide.*256 .v1. or 768")
    refused(store, next(made.glob("*bob*.index")), words="256 wide. fits no imported voice.*with its .pth")
    refused(store, anna, next(made.glob("*bob*.index")), words="fits none of the voices")
    refused(store, tmp_path / "nowhere.pth", words="cannot be opened .No such file.*check the path")
    refused(store, Path("/dev/zero"), words="is not a file")
    (tmp_path / "void").mkdir()
    refused(store, tmp_path / "void", words="holds no .pth")
    os.mkfifo(tmp_path / "pipe.pth")
    refused(store, tmp_path / "pipe.pth", words="is not a file")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    refused(store, tmp_path / "tensor.pth", words="holds no table of tensors")
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "net.pth")
    refused(store, tmp_path / "net.pth", words="a net that is not known here .layer.weight")


@pytest.mark.parametrize(
    ("change", "words", "kind"),
    [
        ({"version": "voras_beta"}, "version 'voras_beta'.*v1 and v2", Unsupported),
        ({"version": "v1"}, "says v1 .* but its weights hear 768", BadModel),
        ({"vocoder": "RefineGAN"}, "vocoder RefineGAN cannot be used", Unsupported),
        ({"vocoder": "BigVGAN"}, "vocoder BigVGAN cannot be used", Unsupported),
        ({"config": [1, 2, 3]}, "has 18 entries; this one has 3", BadModel),
        ({"config": "nonsense"}, "configuration is no list", BadModel),
    ],
)
def test_voices_that_contradict_themselves(
    change: dict[str, Any], words: str, kind: type[RwcError], tmp_path: Path, store: VoiceStore
) -> None:
    refused(store, make_voice(tmp_path, **change), words=words, kind=kind)


def test_spoiled_weights(tmp_path: Path, anna: Path, store: VoiceStore) -> None:
    def spoiled(**tensors: torch.Tensor | None) -> Path:
        held = torch.load(anna, weights_only=True)
        for name, tensor in tensors.items():
            held["weight"].pop(name) if tensor is None else held["weight"].update({name: tensor})
        torch.save(held, tmp_path / "spoiled.pth")
        return tmp_path / "spoiled.pth"

    name = "dec.conv_pre.bias"
    for value in (float("nan"), float("inf")):
        bias = torch.full((64,), value).half()
        refused(store, spoiled(**{name: bias}), words=f"{name} holds values that are not numbers.*take another one")
    refused(store, spoiled(**{name: torch.zeros(63)}), words=rf"{name} has shape \(63,\).*says \(64,\)")
    refused(store, spoiled(**{name: torch.zeros(64).long()}), words="holds I64, not weights")
    refused(store, spoiled(**{name: None}), words=f"lacks {name}")
    refused(store, spoiled(extra=torch.zeros(3)), words="tensors that do not belong there: extra")
    refused(store, spoiled(**{"emb_g.weight": None}), words="lacks its text encoder or speaker table")


def test_the_same_voice_again_is_noticed(made: Path, anna: Path, tmp_path: Path, store: VoiceStore) -> None:
    said: list[str] = []
    (first,) = store.bring_in([anna], left_out=said.append)
    assert (said, first.index) == ([], None)
    (again,) = store.bring_in([anna], left_out=said.append)
    assert again == first
    assert said == ["anna.pth is here already as 'anna', the same file: --name NAME makes a second voice of it"]
    # in a zip, under another name, with its index: the index is taken
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        archive.write(anna, "other.pth")
        archive.write(next(made.glob("*anna*.index")), "other.index")
    (again,) = store.bring_in([tmp_path / "pack.zip"])
    assert (again.id, again.vectors) == ("anna", 80)
    # beside a new one
    assert [card.id for card in store.bring_in([made])] == ["anna", "bob"]
    # wanted twice, it is stored twice; the same name again is noticed again
    for _ in range(2):
        assert store.bring_in([anna], name="Second")[0].id == "second"
    assert [card.id for card in store.list()] == ["anna", "bob", "second"]


def test_one_name_is_for_one_voice(made: Path, store: VoiceStore) -> None:
    with pytest.raises(OutOfRange, match="one name for 2 voices: import them without --name"):
        store.bring_in([made], name="both")
    assert store.list() == []
