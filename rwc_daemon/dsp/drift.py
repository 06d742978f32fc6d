"""The slow drift of a sound, to be taken away from it: a one-pole low-pass, y[n] = (1 - p) x[n] + p y[n-1] with
p = exp(-2 pi f / rate)."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

CORNER_HZ = 20.0
INAUDIBLE = 1e-12  # what is smaller is none: a sound that has ended ends exactly
FORGOTTEN = 1e-30  # memory below this is cleared before its numbers become slow (denormal)


class Drift:
    """`feed` f64[n] → f64[n], no delay."""

    def __init__(self, rate: int) -> None:
        pole = np.exp(-2 * np.pi * CORNER_HZ / rate)
        self._filter = np.array([1 - pole]), np.array([1.0, -pole])
        self._memory = np.zeros(1)

    def feed(self, x: np.ndarray) -> np.ndarray:
        y, self._memory = lfilter(*self._filter, x, zi=self._memory)
        if abs(self._memory[0]) < FORGOTTEN:
            self._memory[:] = 0
        return np.where(np.abs(y) < INAUDIBLE, 0.0, y)
