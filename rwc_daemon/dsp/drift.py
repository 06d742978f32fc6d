"""The slow drift of a sound, to be taken away from it: a one-pole low-pass, y[n] = (1 - p) x[n] + p y[n-1] with
p = exp(-2 pi f / rate)."""

from __future__ import annotations

import numpy as np

from rwc_daemon.dsp.first_order import FirstOrder

CORNER_HZ = 20.0
INAUDIBLE = 1e-12  # what is smaller is none: a sound that has ended ends exactly
FORGOTTEN = 1e-30  # memory below this is cleared before its numbers become slow (denormal)


class Drift:
    """`feed` f64[n] → f64[n], no delay."""

    def __init__(self, rate: int) -> None:
        pole = np.exp(-2 * np.pi * CORNER_HZ / rate)
        self._low = FirstOrder(1 - pole, 0.0, pole)

    def feed(self, x: np.ndarray) -> np.ndarray:
        y = self._low.feed(x)
        if abs(self._low.memory) < FORGOTTEN:
            self._low.memory = 0.0
        return np.where(np.abs(y) < INAUDIBLE, 0.0, y)
