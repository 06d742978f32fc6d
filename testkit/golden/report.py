"""Lines of the report, and the limits of the specification's section 11."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FLOAT = 2.0**-24  # half a step of float32: what one operation errs at most, of its result
EXACT = 0.0
MEAN, LATENT, SOURCE, AUDIO = 1e-5, 4e-5, 1e-5, 1e-4
# Within a net, relative to the largest value: some 100 layers behind each other of sums of some 600 terms err by
# 2^-24 * sqrt(100 * 600) = 1.5e-5, as a random walk; what the net is given errs as much (a mel figure: 1.9e-5); and
# thrice the sum of both for the largest of many.
TAP = 1e-4
CONTENT = 5e-5
# A mel figure is the logarithm of a sum of magnitudes. Each of the ten stages of a transform of 1024 samples errs by
# half a step of the frame's largest figure, and a band that is e^d weaker shows that e^d larger in its logarithm
# (`mel_unit`). One CPU held to SSE, AVX2 and AVX-512 reaches 1.0 - 2.8 of these units, and 5e-7 to 1.5e-4 absolute.
MEL = 10.0
SALIENCE, HZ, FCPE_LATENT = 1e-5, 1e-2, 1e-6
MIXED = 1e-5
RESAMPLED = 3e-4
SIGNAL = 1e-5  # gates, loudness, fades
STEP, LIVE = 5e-3, 5e-3
# The source is a sine whose phase sums up the pitch. Each frame's pitch errs by some 1e-3 Hz (measured: 8.5e-4), which
# adds up over the 600 frames of a piece to 2 pi * 1e-3 * sqrt(600) / 100 = 1.5e-3 of the radius, and more in overtones.
PIECE = 5e-3
LSB = PIECE * 32768 + 1  # the same in whole numbers of 16 bits, and one for their rounding


@dataclass(frozen=True)
class Line:
    tap: str
    error: float
    """Largest absolute difference."""
    relative: float
    """The same over the reference's largest value."""
    limit: float
    by: str = "absolute"
    """Which of the two is limited; "units": the error in units of its own for each figure, as `relative`."""

    @property
    def ok(self) -> bool:
        return (self.error if self.by == "absolute" else self.relative) <= self.limit


@dataclass(frozen=True)
class Note:
    """Something that was not compared, and why."""

    text: str


class NoArray(Exception):
    """The file lacks the array of this name."""


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
        """Raises NoArray."""
        if name not in self._arrays:
            raise NoArray(name)
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


def mel_unit(mel: np.ndarray, axis: int) -> np.ndarray:
    """What half a step of float32 in a frame's loudest band is in each figure, and half a step of the figure itself.

    `mel`: natural logarithms; `axis`: of the bands."""
    mel = np.asarray(mel, np.float64)
    return FLOAT * (np.exp(mel.max(axis, keepdims=True) - mel) + np.abs(mel))


def compare_mel(ours: Any, theirs: np.ndarray, axis: int) -> Line:
    """In units of `mel_unit`."""
    plain = compare("mel", ours, theirs, MEL, "units")
    if not np.isfinite(plain.error):
        return plain
    apart = np.abs(np.asarray(ours, np.float64) - theirs)
    return Line(plain.tap, plain.error, float((apart / mel_unit(theirs, axis)).max()), MEL, "units")


def same(tap: str, ours: object, theirs: object) -> Line:
    """For digests and other texts."""
    error = 0.0 if ours == theirs else np.inf
    return Line(tap, error, error, EXACT)
