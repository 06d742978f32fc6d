"""A soft limiter that sees peaks coming: nothing above full scale leaves, nothing below -1 dB is touched.

Below the knee (-1 dBFS) the wanted level is the level; above it the level bends towards a ceiling just under 1:
knee + (ceiling - knee)·tanh((level - knee) / (ceiling - knee)). The gain that this takes is reached before the
peak, by averaging over A samples the largest reduction of the last A, while the sound waits A - 1 samples; afterwards
the gain comes back in a straight line. Reductions are whole numbers of 2^-40, so sums and running maxima are exact,
however the input is cut, and a reduction of zero is exactly none.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.dsp.delay import Delay
from rwc_daemon.dsp.finite import finite

KNEE = 10 ** (-1 / 20)
CEILING = 0.999
LOOK_AHEAD_MS = 1.5
RELEASE_MS = 100.0  # from wholly closed to open
ONE = 1 << 40


class Limiter:
    """Mono; `delay` is just under 1.5 ms."""

    def __init__(self, rate: int) -> None:
        self._span = int(LOOK_AHEAD_MS * rate / 1000)
        self.delay = self._span - 1
        self._late = Delay(self.delay)
        self._release = max(1, round(ONE * 1000 / (RELEASE_MS * rate)))
        self._wanted = np.zeros(self._span - 1, np.int64)  # reductions of the last samples
        self._held = np.zeros(self._span - 1, np.int64)  # the same after hold and release

    def feed(self, x: np.ndarray) -> np.ndarray:
        """f32[n] → f32[n]. NaN and infinity count as 0."""
        x = finite(x)
        late = self._late.feed(x)
        if not len(x):
            return late
        wanted = np.concatenate((self._wanted, self._reductions(x)))
        self._wanted = wanted[len(x) :]
        if not wanted.any() and not self._held.any():
            return late
        held = np.concatenate((self._held, self._hold(wanted)))
        self._held = held[len(x) :]
        sums = np.cumsum(np.concatenate(([0], held)))
        mean = (sums[self._span :] - sums[: -self._span]) / (self._span * ONE)
        return np.clip(late * (1 - mean), -1, 1).astype(np.float32)

    @staticmethod
    def _reductions(x: np.ndarray) -> np.ndarray:
        """What each sample must lose, as a share of itself in units of 1/ONE; i64[n]."""
        level = np.abs(x).astype(np.float64)
        if level.max() <= KNEE:
            return np.zeros(len(x), np.int64)
        over = np.maximum(level - KNEE, 0)
        excess = over - (CEILING - KNEE) * np.tanh(over / (CEILING - KNEE))
        return np.ceil(ONE * excess / np.maximum(level, KNEE)).astype(np.int64)

    def _hold(self, wanted: np.ndarray) -> np.ndarray:
        """The largest reduction of the last `span` samples, then falling by `release` a sample; i64[n]."""
        largest = np.lib.stride_tricks.sliding_window_view(wanted, self._span).max(axis=1)
        fallen = self._release * np.arange(1, len(largest) + 1)
        before = self._held[-1]
        return np.maximum(np.maximum(np.maximum.accumulate(largest + fallen), before) - fallen, 0)
