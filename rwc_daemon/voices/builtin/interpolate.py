"""Reading a signal between its samples.

A windowed sinc of 16 taps in 1024 phases. Read faster than it was written, the sound would fold back at the top; so
there is a bank of kernels with lower and lower cut-off, and the speed chooses one. At whole positions and speeds up to
1 the kernel is a single one: what is read is the sample itself, to the bit.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.dsp.history import History

TAPS = 16
PHASES = 1024
SPEEDS = np.exp2(np.arange(0, 13, 2) / 12)  # a kernel for every two semitones up to an octave


def _bank() -> np.ndarray:
    """f64[speeds · (PHASES + 1), TAPS]; the taps stand on samples floor(position) - 7 … floor(position) + 8."""
    t = np.arange(TAPS) - (TAPS // 2 - 1) - np.arange(PHASES + 1)[:, None] / PHASES
    window = np.cos(np.pi * t / (TAPS + 2)) ** 2
    kernels = [np.sinc(t / speed) * window for speed in SPEEDS]
    kernels[0][0] = np.eye(TAPS)[TAPS // 2 - 1]
    return np.concatenate([kernel / kernel.sum(axis=1, keepdims=True) for kernel in kernels])


class Interpolator:
    """Reads a History anywhere; `reach` samples around a position are needed."""

    reach = TAPS // 2 + 1

    def __init__(self) -> None:
        self._kernels = _bank()

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
