"""The filter of first order: y[n] = now x[n] + before x[n-1] + pole y[n-1].

`scipy.signal.lfilter` gives the same bits, but importing it takes most of a second, and an engine that replaces another
has somebody waiting in silence.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.dsp._filter import ffi, lib


class FirstOrder:
    """`feed` f64[n] → f64[n], no delay."""

    def __init__(self, now: float, before: float, pole: float) -> None:
        assert abs(pole) < 1, pole
        self._factors = ffi.new("double[3]", [now, before, pole])
        self.memory = 0.0

    def feed(self, x: np.ndarray) -> np.ndarray:
        x = np.ascontiguousarray(x, np.float64)
        y = np.empty_like(x)
        source, target = (ffi.cast("double *", ffi.from_buffer(samples)) for samples in (x, y))
        self.memory = lib.rwc_first_order(source, target, x.size, self._factors, self.memory)
        return y
