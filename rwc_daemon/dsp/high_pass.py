"""Removes what lies below speech: the offset of a cheap microphone, rumble, steps on the floor.

Butterworth of second order at 50 Hz, through the bilinear transform: with k = tan(pi f / rate) and
d = 1 + sqrt(2) k + k^2 it is

    H(z) = (1 - 2 z^-1 + z^-2) / (d + 2 (k^2 - 1) z^-1 + (1 - sqrt(2) k + k^2) z^-2)

It is minimum phase and holds no sample back: its group delay is 1.3 ms at 100 Hz, 0.3 ms at 200 Hz and 0.01 ms at
1 kHz, so it is no part of the sum of delays.
"""

from __future__ import annotations

import math

import numpy as np

from rwc_daemon.dsp._filter import ffi, lib
from rwc_daemon.dsp.finite import finite

CORNER_HZ = 50.0


class HighPass:
    """Mono; however the input is cut, the bits are the same.

    It begins as if the first sample had stood there for ever: a constant offset makes no thump.
    """

    delay = 0

    def __init__(self, rate: int) -> None:
        k = math.tan(math.pi * CORNER_HZ / rate)
        d = 1 + math.sqrt(2) * k + k * k
        self._factors = ffi.new(
            "double[5]", [1 / d, -2 / d, 1 / d, 2 * (k * k - 1) / d, (1 - math.sqrt(2) * k + k * k) / d]
        )
        self._memory = ffi.new("double[2]")
        self._fresh = True

    def feed(self, x: np.ndarray) -> np.ndarray:
        """f32[n] → f32[n]. NaN and infinity count as 0."""
        x = np.ascontiguousarray(x, np.float32)
        if self._fresh and x.size:
            # the memory at which a constant gives 0 for ever
            first = float(finite(x[:1])[0])
            self._memory[0], self._memory[1] = -self._factors[0] * first, self._factors[2] * first
            self._fresh = False
        y = np.empty_like(x)
        source, target = (ffi.cast("float *", ffi.from_buffer(samples)) for samples in (x, y))
        lib.rwc_second_order(source, target, x.size, self._factors, self._memory)
        return y
