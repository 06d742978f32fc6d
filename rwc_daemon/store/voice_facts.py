"""What a voice's file says about itself, judged against its weights.

Merge tools, forks and old versions write these facts in many ways, or not at all. Where facts and weights disagree and
only one reading can work, the weights decide and a note says so; what cannot be read either way is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.layout import CONFIG_LENGTH, CONTENT_WIDTHS, NSF, SynthConfig
from rwc_daemon.store.tensors import Tensor

MOST_TEXT = 200
LAYERS = {"v1": 9, "v2": 12}  # layer of the content encoder that each version hears
WIDTH_ENTRY = 17  # where rvc-webui puts the width of the features, one before the rate
TRUE, FALSE = ("1", "true", "1.0"), ("0", "false", "0.0")


@dataclass
class Read:
    """A voice's facts, read."""

    config: SynthConfig
    listed: list[Any]
    #: the 18 entries
    notes: list[str] = field(default_factory=list)
    #: what was decided against the file's own words


def read_facts(facts: dict[str, Any], tensors: dict[str, Tensor]) -> Read:
    """Raises BadModel or Unsupported with the true reason."""
    phone, table = tensors.get("enc_p.emb_phone.weight"), tensors.get("emb_g.weight")
    if phone is None or table is None or len(phone.shape) != 2 or len(table.shape) != 2:
        raise BadModel("the voice lacks its text encoder or speaker table: take a complete inference file")
    width = phone.shape[1]
    notes: list[str] = []
    listed = _without_width(listed_config(facts["config"]), width)
    version = _version(facts, width, notes)
    f0 = _pitch(facts, "enc_p.emb_pitch.weight" in tensors, notes)
    vocoder = text_of(facts.get("vocoder")) or NSF
    return Read(SynthConfig.parse(listed, version, f0, table.shape[0], vocoder), listed, notes)


def listed_config(config: Any) -> list[Any]:
    """The configuration as a list; safetensors files hold it as text."""
    if isinstance(config, str) and len(config) < MOST_TEXT * 10:
        try:
            config = json.loads(config)
        except (ValueError, RecursionError):
            config = None
    if not isinstance(config, (list, tuple)):
        raise BadModel("the voice's configuration is no list: its file is damaged; get it again")
    return list(config)


def text_of(value: Any) -> str:
    """A text of the file, trimmed; empty for anything else."""
    return value.strip()[:MOST_TEXT] if isinstance(value, str) else ""


def _without_width(listed: list[Any], width: int) -> list[Any]:
    """rvc-webui writes 19 entries: the width of the features stands before the rate."""
    if len(listed) != CONFIG_LENGTH + 1:
        return listed
    said = listed.pop(WIDTH_ENTRY)
    if type(said) is not int or said not in CONTENT_WIDTHS.values():
        shown = str(said)[:40]
        raise BadModel(
            f"the voice's configuration has {CONFIG_LENGTH + 1} entries and entry {WIDTH_ENTRY} is {shown}, not the "
            "width of the features (256 or 768): its program is not known here; export the voice with RVC"
        )
    if said != width:
        raise BadModel(
            f"the voice's configuration says {said} features, its weights hear {width}: its file was edited; take the "
            "original one"
        )
    return listed


def _version(facts: dict[str, Any], width: int, notes: list[str]) -> str:
    by_width = next((name for name, wide in CONTENT_WIDTHS.items() if wide == width), "")
    if not by_width:
        raise Unsupported(f"the voice hears {width} features; RVC voices hear 256 (v1) or 768 (v2): it is another kind")
    _check_layer(facts, width, by_width)
    said = facts.get("version")
    if said is None or (isinstance(said, str) and text_of(said).lower() in ("", "none")):
        # old files of v1 never said a version
        if by_width != "v1":
            notes.append(f"its file says no version: {by_width} by its weights ({width} features)")
        return by_width
    version = _plain_version(said)
    if version not in CONTENT_WIDTHS:
        raise Unsupported(f"version '{str(said)[:40]}' of RVC is not known here: v1 and v2 voices can be used")
    if version != by_width:
        raise BadModel(
            f"the voice says {version} (layer {LAYERS[version]} of the content encoder, {CONTENT_WIDTHS[version]} "
            f"features) but its weights hear {width}: its file was edited; take the original one"
        )
    return version


def _check_layer(facts: dict[str, Any], width: int, by_width: str) -> None:
    """rvc-webui can train on any layer; RWC has the two pairs of layer and width that RVC has."""
    layer = facts.get("embedder_output_layer")
    if type(layer) is int and layer != LAYERS[by_width] and not (layer == -1 and by_width == "v2"):
        raise Unsupported(
            f"the voice hears {width} features of layer {layer} of the content encoder; RWC has layer 9 for 256 "
            "features (v1) and layer 12 for 768 (v2): ask its author for a voice trained that way"
        )


def _plain_version(said: Any) -> str:
    """2, 2.0, "2" and "V2" are all v2."""
    if isinstance(said, (int, float)) and not isinstance(said, bool):
        said = f"{said:g}"
    return "v" + text_of(said).lower().removeprefix("v").removesuffix(".0")


def _pitch(facts: dict[str, Any], weights: bool, notes: list[str]) -> bool:
    """Whether the voice follows pitch: its weights know."""
    said = str(facts.get("f0")).strip().lower()
    if (said in TRUE and not weights) or (said in FALSE and weights):
        what = "it has the weights for pitch, so it follows" if weights else "it has no weights for pitch, so it has"
        notes.append(f"its file says f0 {facts['f0']}, but {what} {'it' if weights else 'none'}")
    return weights
