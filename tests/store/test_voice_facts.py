"""Voices whose file and weights disagree, or say little: what is decided, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rwc_daemon.errors import BadModel, RwcError, Unsupported
from rwc_daemon.store.adopt import adopt_voice
from rwc_daemon.store.card import CARD, VoiceCard, card_bytes, read_card
from rwc_daemon.store.recognise import container_of, read_model
from rwc_daemon.store.voices import VoiceStore
from testkit.makers import make_voice


def edited(tmp_path: Path, kind: str, drop: tuple[str, ...] = (), **change: Any) -> Path:
    path = make_voice(tmp_path, kind)
    held = torch.load(path, weights_only=True)
    held = {key: value for key, value in (held | change).items() if key not in drop}
    torch.save(held, path)
    return path


def brought(tmp_path: Path, kind: str, drop: tuple[str, ...] = (), **change: Any) -> VoiceCard:
    """As the import child does it, without the child: many cases in a moment."""
    with edited(tmp_path, kind, drop, **change).open("rb") as file:
        model = read_model(file, container_of(file))
        (folder := tmp_path / f"card-{len(list(tmp_path.iterdir()))}").mkdir()
        facts = adopt_voice(model, file, "x.pth", folder, lambda share: None)
        (folder / CARD).write_bytes(card_bytes(facts))
    return read_card(folder)


def test_through_the_door(tmp_path: Path, store: VoiceStore) -> None:
    (card,) = store.bring_in([edited(tmp_path, "v2-40k-f0", ("version",), f0=0)])
    assert (card.version, card.f0, len(card.notes)) == ("v2", True, 2)


@pytest.mark.parametrize("said", [0, "0", False, 0.0, "False"])
def test_a_merged_voice_follows_the_pitch_it_has_weights_for(said: Any, tmp_path: Path) -> None:
    card = brought(tmp_path, "v2-40k-f0", f0=said)
    assert card.f0
    assert card.notes == (f"its file says f0 {said}, but it has the weights for pitch, so it follows it",)


@pytest.mark.parametrize("said", [1, "1", True, np.int64(1)])
def test_a_voice_without_weights_for_pitch_has_none(said: Any, tmp_path: Path) -> None:
    card = brought(tmp_path, "v2-40k-nof0", f0=said)
    assert not card.f0
    assert card.notes == ("its file says f0 1, but it has no weights for pitch, so it has none",) or said is True
    assert "no weights for pitch" in card.notes[0]


@pytest.mark.parametrize("said", [2, "2", "V2", " v2 ", 2.0, "2.0", np.int64(2)])
def test_versions_as_they_are_written(said: Any, tmp_path: Path) -> None:
    card = brought(tmp_path, "v2-40k-f0", version=said)
    assert (card.version, card.notes) == ("v2", ())


@pytest.mark.parametrize("said", [1, "1", "V1"])
def test_the_older_version_too(said: Any, tmp_path: Path) -> None:
    card = brought(tmp_path, "v1-48k-nof0", version=said)
    assert (card.version, card.notes) == ("v1", ())


@pytest.mark.parametrize("said", [None, "", "None"])
def test_without_a_version_the_weights_decide(said: Any, tmp_path: Path) -> None:
    card = brought(tmp_path, "v2-40k-f0", version=said)
    assert (card.version, card.notes) == ("v2", ("its file says no version: v2 by its weights (768 features)",))
    card = brought(tmp_path, "v1-40k-f0", version=said)
    assert (card.version, card.notes) == ("v1", ())


@pytest.mark.parametrize("kind", ["v1-40k-f0", "v2-48k-nof0"])
@pytest.mark.parametrize("versioned", [True, False])
def test_the_nineteen_entries_of_rvc_webui(kind: str, versioned: bool, tmp_path: Path) -> None:
    held = torch.load(make_voice(tmp_path, kind), weights_only=True)
    width = 256 if kind.startswith("v1") else 768
    config = [*held["config"][:-1], width, held["config"][-1]]
    extra = {"embedder_name": "contentvec", "embedder_output_layer": 9 if width == 256 else 12}
    drop = () if versioned else ("version",)
    card = brought(tmp_path, kind, drop, config=config, params={"x": 1}, **extra)
    assert (card.version, card.rate, len(card.config)) == (kind[:2], held["config"][-1], 18)
    assert card.config[17] == card.rate
    assert len(card.notes) == (0 if versioned or width == 256 else 1)


@pytest.mark.parametrize(
    ("change", "words", "kind"),
    [
        ({"version": "v1"}, r"says v1 \(layer 9 .*256 features\) but its weights hear 768", BadModel),
        (
            {"embedder_output_layer": 9},
            r"768 features of layer 9 .*layer 12 for 768 \(v2\): ask its author",
            Unsupported,
        ),
        ({"version": None, "embedder_output_layer": 9}, r"768 features of layer 9", Unsupported),
        ({"version": 3}, r"version '3' of RVC is not known", Unsupported),
        ({"version": True}, r"version 'True' of RVC is not known", Unsupported),
        ({"version": "v2.5"}, r"version 'v2.5' of RVC is not known", Unsupported),
        ({"version": ["v2"]}, r"version .* of RVC is not known", Unsupported),
    ],
)
def test_what_stays_refused_says_why(change: dict[str, Any], words: str, kind: type[RwcError], tmp_path: Path) -> None:
    with pytest.raises(kind, match=words):
        brought(tmp_path, "v2-40k-f0", **change)


def test_a_nineteenth_entry_that_is_no_width(tmp_path: Path) -> None:
    config = torch.load(make_voice(tmp_path, "v2-40k-f0"), weights_only=True)["config"]
    for entry, words in ((512, "entry 17 is 512, not the width"), (256, "says 256 features, its weights hear 768")):
        with pytest.raises(BadModel, match=words):
            brought(tmp_path, "v2-40k-f0", config=[*config[:-1], entry, config[-1]])


def test_half_of_the_weights_for_pitch_are_a_damaged_voice(tmp_path: Path, store: VoiceStore) -> None:
    path = make_voice(tmp_path, "v2-40k-f0")
    held = torch.load(path, weights_only=True)
    del held["weight"]["dec.m_source.l_linear.weight"]
    torch.save(held, path)
    with pytest.raises(BadModel, match=r"lacks dec\.m_source\.l_linear\.weight"):
        store.bring_in([path])
