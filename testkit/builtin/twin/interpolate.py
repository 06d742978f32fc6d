"""Reading a signal between its samples: the kernels of `rwc_daemon.voices.builtin.interpolate`, applied by NumPy."""

from __future__ import annotations

import numpy as np

from rwc_daemon.dsp.history import History
from rwc_daemon.voices.builtin.interpolate import PHASES, SPEEDS, TAPS, kernel_bank


class Interpolator:
    """Reads a History anywhere; `reach` samples around a position are needed."""

    reach = TAPS // 2 + 1

    def __init__(self) -> None:
        self._kernels = kernel_bank()

    @staticmethod
    def kernel(speed: float) -> int:
        """The number of the kernel for reading at `speed`."""
        return int(np.searchsorted(SPEEDS, speed * 0.98).clip(0, len(SPEEDS) - 1))

    def read(self, x: History, positions: np.ndarray, kernels: np.ndarray) -> np.ndarray:
        """f64[n] at fractional sample numbers f64[n], each through its kernel i64[n]."""
        whole = np.floor(positions)
        phases = np.rint((positions - whole) * PHASES).astype(np.int64)
        taps = self._kernels[kernels * (PHASES + 1) + phases]
        return (x.gather(whole.astype(np.int64) - (TAPS // 2 - 1), TAPS) * taps).sum(axis=1)
