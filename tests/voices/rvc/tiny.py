"""Small voices with random weights, from the recipe, through the same files that real ones have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from rwc_daemon.errors import MissingAsset
from rwc_daemon.store.card import VoiceCard
from rwc_daemon.store.layout import NSF, expected_shapes
from rwc_daemon.store.layout_support import content_shapes
from rwc_daemon.voices.rvc.voice import RvcVoice
from testkit import golden_recipe as recipe

CONFIGS = {
    "40k": [1025, 32, 16, 16, 32, 2, 2, 3, 0, "1", [3, 7], [[1, 3], [1, 3]], [10, 10, 2, 2], 64, [16, 16, 4, 4]],
    "48k": [1025, 32, 16, 16, 32, 2, 2, 3, 0, "1", [3, 7], [[1, 3], [1, 3]], [12, 10, 2, 2], 64, [24, 20, 4, 4]],
    "32k": [513, 32, 16, 16, 32, 2, 2, 3, 0, "2", [3, 5], [[1, 3], [1, 3]], [10, 8, 2, 2], 64, [20, 16, 4, 4]],
    "44.1k": [1025, 32, 16, 16, 32, 2, 2, 3, 0, "1", [3, 7], [[1, 3], [1, 3]], [7, 7, 3, 3], 64, [14, 14, 6, 6]],
}
RATES = {"40k": 40000, "48k": 48000, "32k": 32000, "44.1k": 44100}
SPEAKERS = 3


def config(rate: str = "40k") -> list:
    return json.loads(json.dumps([*CONFIGS[rate], SPEAKERS, 8, RATES[rate]]))


@lru_cache
def drawn(rate: str, version: str, f0: bool, vocoder: str) -> dict[str, torch.Tensor]:
    shapes = expected_shapes(config(rate), version, f0, vocoder=vocoder)
    return {name: torch.from_numpy(w) for name, w in recipe.weights(shapes, recipe.SYNTHESIZER).items()}


@lru_cache
def drawn_content() -> dict[str, torch.Tensor]:
    """One layer, as wide as v2 voices want it."""
    shapes = content_shapes(layers=1, ffn=16, conv=16, position_kernel=16)
    return {name: torch.from_numpy(w) for name, w in recipe.weights(shapes, recipe.CONTENT).items()}


@dataclass(frozen=True)
class Assets:
    """A folder of support files that has the content encoder alone."""

    folder: Path

    def has(self, name: str) -> bool:
        return (self.folder / f"{name}.safetensors").exists()

    def path(self, name: str) -> Path:
        if not self.has(name):
            raise MissingAsset(f"{name} is not here")
        return self.folder / f"{name}.safetensors"


def made_card(
    folder: Path, rate: str = "40k", version: str = "v2", f0: bool = True, vocoder: str = NSF, index: Path | None = None
) -> VoiceCard:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(drawn(rate, version, f0, vocoder), folder / "weights.safetensors")
    return VoiceCard(
        id="tiny-voice",
        name="Tiny",
        kind="rvc",
        version=version,
        f0=f0,
        rate=RATES[rate],
        speakers=SPEAKERS,
        config=tuple(config(rate)),
        vocoder=vocoder,
        embedder="contentvec",
        licence="",
        origin="recipe",
        sha256="",
        size=0,
        folder=folder,
        weights=folder / "weights.safetensors",
        index=index,
    )


def made_assets(folder: Path) -> Assets:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(drawn_content(), folder / "contentvec.safetensors")
    return Assets(folder)


def made_voice(folder: Path, **wanted) -> RvcVoice:
    return RvcVoice.load(made_card(folder / "voice", **wanted), made_assets(folder / "assets"), "cpu")


def speech(seconds: float, rate: int = 48000, f0_hz: float = 150.0) -> np.ndarray:
    """Something voiced with syllables: a harmonic glide that swells four times a second. f32."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(f0_hz * 2 ** (0.2 * np.sin(2 * np.pi * 0.7 * t))) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    return (0.1 * tone * (0.6 - 0.4 * np.cos(2 * np.pi * 4 * t))).astype(np.float32)
