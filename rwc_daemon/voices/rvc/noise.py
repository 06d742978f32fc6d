"""The noise of a conversion, owned at the absolute frame: frame t always gets the same numbers.

Counter-based (Philox): a page of frames is drawn from `(seed, kind, page)` alone, so any window over frame t, in any
order, sees the same values. Overlapping renderings can agree only if their noise does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rwc_daemon.store.layout import SynthConfig
from rwc_daemon.voices.rvc.synth import Draws, Window

PAGE = 64  # frames drawn at once: whole pages make the draw cheap
PAGES_KEPT = 32  # pages in memory
LATENT, SOURCE = 0, 1


class Noise(Protocol):
    """Where the random part of a rendering comes from."""

    def draws(self, start: int, frames: int, window: Window) -> Draws:
        """For `frames` frames of features, of which the first is absolute frame `start`."""


class FrameNoise:
    """Normal noise for one conversion. Frames may be negative (before the first sample)."""

    def __init__(self, config: SynthConfig, seed: int) -> None:
        self._seed = seed & 0xFFFF_FFFF_FFFF_FFFF
        self._f0, self._inter, self._hop, self._harmonics = config.f0, config.inter, config.hop, config.harmonics
        self._page = lru_cache(PAGES_KEPT)(self._draw)

    def draws(self, start: int, frames: int, window: Window) -> Draws:
        """All harmonics start at phase 0."""
        head = window.flow_head
        source = self.source(start + window.first, window.heard) if self._f0 else None
        return Draws(self.latent(start + head, frames - head), source)

    def latent(self, first: int, frames: int) -> Tensor:
        """[1, inter, frames], float32."""
        return torch.from_numpy(self._rows(LATENT, first, frames, self._inter).T[None].copy())

    def source(self, first: int, frames: int) -> Tensor:
        """[1, frames * hop, harmonics], float32."""
        rows = self._rows(SOURCE, first, frames, self._hop * self._harmonics)
        return torch.from_numpy(rows.reshape(1, frames * self._hop, self._harmonics))

    def _rows(self, kind: int, first: int, frames: int, width: int) -> np.ndarray:
        start, end = first // PAGE, -(-(first + frames) // PAGE)
        pages = [self._page(kind, page, width) for page in range(start, end)]
        return np.concatenate(pages)[first - start * PAGE :][:frames]

    def _draw(self, kind: int, page: int, width: int) -> np.ndarray:
        counter = np.array([0, 0, page & 0xFFFF_FFFF_FFFF_FFFF, kind], np.uint64)
        bits = np.random.Philox(key=np.array([self._seed, 0], np.uint64), counter=counter)
        return np.random.Generator(bits).standard_normal((PAGE, width), np.float32)
