"""A noise gate that does not cut the onset of words.

The level is a fast power average of the input without its rumble. Above the threshold the gate opens; it closes once
the level has stayed 6 dB below the threshold for the hold time. The sound itself is 2 ms late, so a sample that opens
the gate comes out at full level, after a 2 ms ramp over what stood before it.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.dsp.delay import Delay
from rwc_daemon.dsp.finite import finite
from rwc_daemon.dsp.first_order import FirstOrder

OFF_DB = -90.0
LOOK_BACK_MS = 2.0
RELEASE_MS = 5.0
HOLD_MS = 200.0
HYSTERESIS_DB = 6.0
LEVEL_MS = 1.5  # time constant of the level
RUMBLE_HZ = 60.0  # below this nothing opens the gate


class _Ramp:
    """Gain between closed (0) and open (1), a smooth step each way."""

    def __init__(self, opening: int, closing: int) -> None:
        self._slopes = {True: 1 / opening, False: -1 / closing}
        self._open = False
        self._start = 0.0
        self._passed = 0

    def _line(self, passed: np.ndarray) -> np.ndarray:
        return np.clip(self._start + passed * self._slopes[self._open], 0, 1)

    def feed(self, n: int, is_open: bool) -> np.ndarray:
        """f32[n] for n samples during which the gate is open or not."""
        if is_open != self._open:
            self._start = float(self._line(np.array([self._passed]))[0])
            self._open, self._passed = is_open, 0
        u = self._line(np.arange(self._passed + 1, self._passed + n + 1))
        self._passed += n
        return (u * u * (3 - 2 * u)).astype(np.float32)


class Gate:
    """`feed` gives the gated sound and whether nothing of it is left."""

    def __init__(self, rate: int) -> None:
        self.delay = round(LOOK_BACK_MS * rate / 1000)
        self._hold = round(HOLD_MS * rate / 1000)
        rumble, level = np.exp(-2 * np.pi * RUMBLE_HZ / rate), np.exp(-1000 / (LEVEL_MS * rate))
        self._without_rumble, self._average = FirstOrder(1.0, -1.0, rumble), FirstOrder(1 - level, 0.0, level)
        self._late = Delay(self.delay)
        self._ramp = _Ramp(self.delay, round(RELEASE_MS * rate / 1000))
        self._open = False
        self._quiet = 0  # samples since the level was last above the closing threshold

    def feed(self, x: np.ndarray, threshold_db: float) -> tuple[np.ndarray, bool]:
        """f32[n] → (f32[n], silent). At OFF_DB or below the gate is always open. NaN and infinity count as 0."""
        x = finite(x)
        late = self._late.feed(x)
        power = self._power(x)
        if threshold_db <= OFF_DB:
            self._open, self._quiet = True, 0
            runs = [(len(x), True)]
        else:
            high = 10 ** (threshold_db / 10)
            runs = self._runs(power > high, power > high * 10 ** (-HYSTERESIS_DB / 10))
        if not runs:
            return late, not self._open
        gain = np.concatenate([self._ramp.feed(n, is_open) for n, is_open in runs])
        silent = not gain.any()
        return (late if gain.all() and gain.min() == 1 else late * gain), silent

    def _power(self, x: np.ndarray) -> np.ndarray:
        # float64, and a floor far below hearing: no denormal numbers in the memory
        sharp = self._without_rumble.feed(x)
        return self._average.feed(sharp * sharp + 1e-30)

    def _runs(self, loud: np.ndarray, alive: np.ndarray) -> list[tuple[int, bool]]:
        """Lengths during which the gate stays open or closed, in order."""
        runs = []
        at, n = 0, len(loud)
        while at < n:
            end = self._closing(alive, at) if self._open else self._opening(loud, at)
            runs.append((end - at, self._open))
            if end < n:
                self._open, self._quiet = not self._open, 0
            at = end
        return [run for run in runs if run[0]]

    @staticmethod
    def _opening(loud: np.ndarray, at: int) -> int:
        """Where the closed gate opens, or the end."""
        ahead = loud[at:]
        return at + int(ahead.argmax()) if ahead.any() else len(loud)

    def _closing(self, alive: np.ndarray, at: int) -> int:
        """Where the open gate closes, or the end; counts the quiet samples up to there."""
        heard = at + np.flatnonzero(alive[at:])
        since = np.concatenate(([at - self._quiet], heard + 1))
        gaps = np.concatenate((heard, [len(alive)])) - since
        late = gaps > self._hold
        if late.any():
            return int(since[late.argmax()]) + self._hold
        self._quiet = int(gaps[-1])
        return len(alive)
