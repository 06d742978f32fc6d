"""The voice families, a row each: what is known of a kind of voice before one of its voices is loaded.

A new family is a module below `voices/` and a row here. Lists, loading, the doctor, the engine, the file converter and
the library follow from the row (docs/extending.md). The keys are what lists of voices and cards show as `kind`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FamilyRow:
    """One kind of voice."""

    module: str
    """Below `rwc_daemon.voices`. It is imported when a voice is loaded, and its `load(source: VoiceSource)` returns
    that voice (both are described in `voices.base`)."""
    title: str
    """One of its voices in a sentence: "an RVC voice"."""
    ships: Mapping[str, str] = field(default_factory=dict)
    """The voices that come with the package: id → name."""
    weights: str = ""
    """The file name of the weights of a voice in the user's library; empty: none of its voices lies there."""
    packages: tuple[str, ...] = ()
    """The optional packages that it needs, by their names in `extras.OPTIONAL`."""
    assets: tuple[str, ...] = ()
    """The support files without which none of its voices converts, by their names in the catalogue."""
    tracked: bool = False
    """Its pitch is tracked as the control `f0_method` says."""
    heavy: bool = False
    """It runs on torch: it is slow to import, follows `engine.device`, and its memory is freed while nobody listens."""
    cores: int = 1
    """CPU cores that one process uses well for files; beyond them another process gains more."""


FAMILIES: dict[str, FamilyRow] = {
    "builtin": FamilyRow(
        module="builtin.voice",
        title="a built-in voice",
        ships={
            "plain": "Plain: your own voice",
            "deep": "Deep",
            "bright": "Bright",
            "giant": "Giant",
            "tiny": "Tiny",
            "robot": "Robot: one note",
            "whisper": "Whisper",
        },
    ),
    "light": FamilyRow(
        module="light.voice",
        title="a light voice",
        ships={
            "linen": "Linen: a woman",
            "silk": "Silk: a woman, lower",
            "oak": "Oak: a man",
            "slate": "Slate: a man, lower",
        },
    ),
    "rvc": FamilyRow(
        module="rvc.voice",
        title="an RVC voice",
        weights="weights.safetensors",
        packages=("torch",),
        assets=("contentvec",),
        tracked=True,
        heavy=True,
        cores=4,
    ),
    "rvc-onnx": FamilyRow(
        module="rvc.voice",
        title="an ONNX voice",
        weights="model.onnx",
        packages=("torch", "onnxruntime"),
        assets=("contentvec",),
        tracked=True,
        heavy=True,
        cores=4,
    ),
}


def shipped() -> dict[str, str]:
    """Returns every voice that comes with the package: id → kind. Nobody can remove one or take its id."""
    return {id: kind for kind, row in FAMILIES.items() for id in row.ships}


def cores_for_file() -> int:
    """Returns how many cores one process uses for a voice file whose kind is not known yet: as the heaviest family."""
    return max(row.cores for row in FAMILIES.values())
