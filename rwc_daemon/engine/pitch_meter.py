"""Pitch in and pitch out for those who look: two short memories, and a look at each when asked."""

from __future__ import annotations

import numpy as np

from rwc_daemon.dsp.resample import resample
from rwc_daemon.plan import RATE_16K
from rwc_daemon.voices.base import Samples
from rwc_daemon.voices.f0.yin import Yin

WINDOW_S = 0.1


class PitchMeter:
    """Remembers the last 100 ms of input and output while `on`."""

    def __init__(self, on: bool = False) -> None:
        self.on = on
        self._rate = 0
        self._heard = self._played = np.empty(0, np.float32)

    def hear(self, x: Samples, y: Samples, rate: int) -> None:
        if not self.on:
            return
        keep = int(WINDOW_S * rate)
        self._rate = rate
        self._heard = np.concatenate([self._heard, x])[-keep:]
        self._played = np.concatenate([self._played, y])[-keep:]

    def pitches_hz(self) -> tuple[float, float]:
        """Median pitch of what came in and of what went out; 0 where unvoiced, unknown or not watched."""
        return self._pitch_hz(self._heard), self._pitch_hz(self._played)

    def _pitch_hz(self, x: Samples) -> float:
        if not self.on or not len(x):
            return 0.0
        f0_hz = Yin().track(resample(x, self._rate, RATE_16K))
        voiced = f0_hz[f0_hz > 0]
        return float(np.median(voiced)) if len(voiced) * 2 > len(f0_hz) else 0.0
