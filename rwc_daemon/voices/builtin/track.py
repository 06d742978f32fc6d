"""The pitch of a voice while it speaks: one decision every 2.5 ms.

The sound is brought down to about 12 kHz and its last 16 ms are compared with what stood one lag earlier: the
normalised cross-correlation, over all lags at once through the Fourier transform. A candidate is a local maximum. Each
octave of lag costs a little, because a periodic sound repeats at twice its period as well; being near the last
period earns more than that, because voices do not jump by octaves from one 2.5 ms to the next. That credit melts while
another period goes on being the better one: a word that begins on a strong formant is first taken for its tone.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft

from rwc_daemon.dsp.history import History

LOWEST_HZ, HIGHEST_HZ = 62.0, 900.0
COARSE_RATE = 12000  # about: the host's rate is divided by a whole number
HOP_MS = 2.5
WINDOW_MS = 16.0
LOW_PASS_HZ = 1800.0
LOW_PASS_MS = 1.5
OCTAVE_COST = 0.06
NEAR_GAIN = 0.12
NEAR = 0.15  # relative distance that still is the same pitch
PATIENCE = 6  # hops in a row of a better rival, after which being near earns nothing
BEGIN_AT, BEGIN_SURELY_AT, END_AT = 0.70, 0.85, 0.5  # correlation
QUIET_POWER = 3e-8  # -75 dB: nothing to follow
LOW_SHARE = 0.08  # share of the power in the low band, below which the sound is a hiss


def _low_pass(rate: int) -> np.ndarray:
    n = round(LOW_PASS_MS * rate / 1000) | 1
    t = np.arange(n) - n // 2
    taps = np.sinc(2 * LOW_PASS_HZ / rate * t) * np.hanning(n + 2)[1:-1]
    return taps / taps.sum()


class PitchTrack:
    """Call `step` at every multiple of `hop` samples; it reads the last 20 ms of the history."""

    def __init__(self, rate: int) -> None:
        self._factor = max(1, round(rate / COARSE_RATE))
        self.hop = self._factor * round(HOP_MS * rate / 1000 / self._factor)
        coarse = rate / self._factor
        self._shortest = math.floor(coarse / HIGHEST_HZ)
        self._longest = math.ceil(coarse / LOWEST_HZ)
        self._window = round(WINDOW_MS * coarse / 1000)
        self._taps = _low_pass(rate)
        # a table: NumPy's own sliding windows take longer to make than the product that they are for
        self._rows = np.arange(0, self.hop, self._factor)[:, None] + np.arange(len(self._taps))
        self._z = np.zeros(self._window + self._longest)
        self._fft = fft.next_fast_len(len(self._z), real=True)
        octaves = np.log2(np.arange(1, self._longest + 1) / self._shortest)
        self._cost = OCTAVE_COST * np.concatenate(([0.0], octaves))
        self._period = 0.0  # coarse samples; 0: unvoiced
        self._hint = 0.0  # what the last hop would have liked to begin with
        self._rival = 0.0  # the best period of the last hop, wherever it was
        self._doubts = 0  # hops in a row in which the same rival was better

    def step(self, x: History, now: int) -> float:
        """The period in samples @host of the sound up to sample `now`, 0 where there is none."""
        self._take_in(x, now)
        period, clarity = self._best(x, now)
        said_twice = self._near(period, self._hint)
        self._hint = period
        if self._period and clarity > END_AT:
            # a jump is believed when it is seen again
            self._period = period if said_twice or self._near(period, self._period) else self._period
        else:
            begins = clarity > BEGIN_SURELY_AT or (clarity > BEGIN_AT and said_twice)
            self._period = period if begins else 0.0
        return self._period * self._factor

    def _take_in(self, x: History, now: int) -> None:
        fresh = x.view(now - self.hop - len(self._taps) + self._factor, now)
        z = (fresh[self._rows] * self._taps).sum(axis=1)
        self._z = np.concatenate((self._z[len(z) :], z))

    def _best(self, x: History, now: int) -> tuple[float, float]:
        """(period in coarse samples, correlation there); (0, 0) where there is nothing to follow."""
        z = self._z - self._z.mean()
        recent = z[-self._window :]
        low = float(np.dot(recent, recent)) / self._window
        if low < QUIET_POWER:
            return 0.0, 0.0
        whole = x.view(now - self._window * self._factor, now)
        if low < LOW_SHARE * (float(np.dot(whole, whole)) / len(whole) - float(whole.mean()) ** 2):
            return 0.0, 0.0
        n = self._correlation(z, recent)
        inner = n[1:-1]
        peaks = 1 + np.flatnonzero((inner > n[:-2]) & (inner >= n[2:]))
        peaks = peaks[peaks >= self._shortest]
        if not len(peaks):
            return 0.0, 0.0
        merit = n[peaks] - self._cost[peaks]
        self._weigh(float(peaks[np.argmax(merit)]))
        near = np.abs(peaks - self._period) < NEAR * self._period
        best = int(peaks[np.argmax(merit + NEAR_GAIN * max(0.0, 1 - self._doubts / PATIENCE) * near)])
        left, top, right = n[best - 1 : best + 2]
        return best + 0.5 * float(left - right) / float(left - 2 * top + right - 1e-12), float(top)

    def _weigh(self, rival: float) -> None:
        """Count how long one other period has been the better one."""
        lasting = self._near(rival, self._rival) and not self._near(rival, self._period)
        self._doubts = self._doubts + 1 if lasting else 0
        self._rival = rival

    def _correlation(self, z: np.ndarray, recent: np.ndarray) -> np.ndarray:
        """Normalised, by lag: f64[longest + 1]."""
        pair = np.zeros((2, self._fft))
        pair[0, : len(z)] = z
        pair[1, : self._window] = recent
        whole, part = fft.rfft(pair)
        products = fft.irfft(whole * np.conj(part), self._fft)[: self._longest + 1][::-1]
        sums = np.concatenate(([0.0], np.cumsum(z * z)))
        energies = (sums[self._window :] - sums[: -self._window])[::-1]
        return products / np.sqrt(energies[0] * np.maximum(energies, 1e-3 * energies[0]))

    @staticmethod
    def _near(a: float, b: float) -> bool:
        return abs(a - b) < NEAR * b
