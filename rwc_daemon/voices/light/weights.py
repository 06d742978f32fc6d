"""The files of the light voices: one content encoder and one decoder for all, and a small file for each speaker.

They are safetensors in half precision; what runs is float32, laid out as the products read it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from rwc_daemon.errors import BadModel
from rwc_daemon.voices.light import shape

DATA = Path(__file__).resolve().parent / "data"
CONTENT, DECODER = DATA / "content.safetensors", DATA / "decoder.safetensors"
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Speaker:
    """Who speaks."""

    embedding: np.ndarray
    """f32[32]."""
    pitch_hz: float
    """The median of its pitch."""
    level: float
    """The usual height of its loudness as the decoder renders it, log RMS."""
    decoder: Arrays
    """Weights of the decoder that are this speaker's own, by name; empty for most."""


def read(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Every tensor of a file in float32, and its notes. Raises BadModel."""
    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
            return arrays, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise BadModel(f"{path} is no file of a light voice ({error}): import or install it again") from error


@cache
def shared() -> tuple[Arrays, Arrays]:
    """The content encoder and the decoder, read once per process."""
    return read(CONTENT)[0], read(DECODER)[0]


def speaker(path: Path) -> Speaker:
    """One speaker's file. Raises BadModel."""
    arrays, about = read(path)
    try:
        embedding = arrays.pop("embedding")
        pitch, level = float(json.loads(about["pitch_hz"])), float(json.loads(about["level"]))
    except (KeyError, ValueError) as error:
        raise BadModel(f"{path} is no speaker of a light voice: {error} is missing or wrong") from error
    if embedding.shape != (shape.EMBEDDING,) or not 40 < pitch < 800:
        raise BadModel(f"{path} is no speaker of a light voice: its embedding or pitch is out of range")
    return Speaker(embedding, pitch, level, arrays)
