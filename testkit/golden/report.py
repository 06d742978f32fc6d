"""Lines of the report, and the limits of the specification's section 11."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

EXACT = 0.0
MEAN, LATENT, SOURCE, AUDIO = 1e-5, 4e-5, 1e-5, 1e-4
TAP = 1e-4  # inside the synthesizer, relative to the largest value
CONTENT = 5e-5
MEL, SALIENCE, HZ, FCPE_LATENT = 1e-5, 1e-5, 1e-2, 1e-6
MIXED = 1e-5
RESAMPLED = 3e-4
SIGNAL = 1e-5  # gates, loudness, fades
STEP, LIVE = 5e-3, 5e-3
PIECE, LSB = 5e-3, 60


@dataclass(frozen=True)
class Line:
    tap: str
    error: float
    """Largest absolute difference."""
    relative: float
    """The same over the reference's largest value."""
    limit: float
    by: str = "absolute"
    """Which of the two is limited."""

    @property
    def ok(self) -> bool:
        return (self.relative if self.by == "relative" else self.error) <= self.limit


@dataclass(frozen=True)
class Note:
    """Something that was not compared, and why."""

    text: str


Lines = Iterator[Line | Note]


class Golden:
    """One .npz file of the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with np.load(path) as file:
            self._arrays = {name: file[name] for name in file.files}

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def get(self, name: str) -> np.ndarray | None:
        return self._arrays.get(name)

    @property
    def names(self) -> list[str]:
        return list(self._arrays)

    def text(self, name: str) -> str:
        return str(self[name])

    def whole(self, name: str) -> int:
        return int(self[name])

    @property
    def salt(self) -> str:
        return self.text("salt")


def compare(tap: str, ours: Any, theirs: Any, limit: float, by: str = "absolute") -> Line:
    """Different shapes count as an infinite error; NaN where the reference has none too."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        return Line(f"{tap} {a.shape} for {b.shape}", np.inf, np.inf, limit, by)
    if not a.size:
        return Line(tap, 0.0, 0.0, limit, by)
    error = float(np.abs(a - b).max())
    if np.isnan(error):
        error = np.inf
    return Line(tap, error, error / max(float(np.abs(b).max()), 1e-12), limit, by)


def same(tap: str, ours: object, theirs: object) -> Line:
    """For digests and other texts."""
    error = 0.0 if ours == theirs else np.inf
    return Line(tap, error, error, EXACT)
