"""What every pitch tracker is: 16 kHz in, one figure in Hz per 10 ms out.

Frame i speaks of the sound around sample 160·i, so N samples give N // 160 + 1 frames. A tracker holds weights or
nothing, never memory: the same samples give the same figures, and a short window of them (live) is tracked like a
whole file.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from rwc_daemon.plan import HOP_16K

LOWEST_HZ, HIGHEST_HZ = 50.0, 1100.0  # the range of the coarse pitch bins; trackers that can choose, look there
QUIETEST = 10 ** (-70 / 20)  # root mean square, full scale: below it nothing is voiced, however periodic


class Tracker(Protocol):
    """One way to find the pitch of one voice."""

    @property
    def name(self) -> str: ...

    def track(self, x_16k: np.ndarray) -> np.ndarray:
        """f32[N] → f32[N // 160 + 1]: Hz, 0 where unvoiced."""


def frame_count(samples_16k: int) -> int:
    return samples_16k // HOP_16K + 1


def fitted(f0_hz: np.ndarray, frames: int) -> np.ndarray:
    """Exactly `frames` figures as float32: cut, or continued unvoiced."""
    return np.pad(f0_hz[:frames], (0, max(0, frames - len(f0_hz)))).astype(np.float32)
