"""A noise gate that does not cut the onset of words.

The level is a fast power average of the input without its rumble. Above the threshold the gate opens; it closes once
the level has stayed 6 dB below the threshold for the hold time. The sound itself is 2 ms late, so a sample that opens
the gate comes out at full level, after a 2 ms ramp over what stood before it.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.dsp._filter import ffi, lib

OFF_DB = -90.0
LOOK_BACK_MS = 2.0
RELEASE_MS = 5.0
HOLD_MS = 200.0
HYSTERESIS_DB = 6.0
LEVEL_MS = 1.5  # time constant of the level
RUMBLE_HZ = 60.0  # below this nothing opens the gate


class Gate:
    """`feed` gives the gated sound and whether nothing of it is left."""

    def __init__(self, rate: int) -> None:
        self.delay = round(LOOK_BACK_MS * rate / 1000)
        self._late = np.zeros(self.delay, np.float32)  # kept: the C side only borrows it
        self._state = ffi.new("rwc_gate *")
        state = self._state
        state.rumble, state.level = np.exp(-2 * np.pi * RUMBLE_HZ / rate), np.exp(-1000 / (LEVEL_MS * rate))
        state.opening, state.closing = 1 / self.delay, -1 / round(RELEASE_MS * rate / 1000)
        state.hold, state.delay = round(HOLD_MS * rate / 1000), self.delay
        state.late = ffi.cast("float *", ffi.from_buffer(self._late))

    def feed(self, x: np.ndarray, threshold_db: float) -> tuple[np.ndarray, bool]:
        """f32[n] → (f32[n], silent). At OFF_DB or below the gate is always open. NaN and infinity count as 0."""
        x = np.ascontiguousarray(x, np.float32)
        y = np.empty_like(x)
        source, target = (ffi.cast("float *", ffi.from_buffer(samples)) for samples in (x, y))
        high = 10 ** (threshold_db / 10)
        low = high * 10 ** (-HYSTERESIS_DB / 10)
        heard = lib.rwc_gate_feed(self._state, source, target, x.size, high, low, threshold_db <= OFF_DB)
        return y, not heard
