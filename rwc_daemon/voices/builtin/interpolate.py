"""Kernels for reading a signal between its samples.

A windowed sinc of 16 taps in 1024 phases. Read faster than it was written, the sound would fold back at the top; so
there is a bank of kernels with lower and lower cut-off, and the speed chooses one. At whole positions and speeds up to
1 the kernel is a single one: what is read is the sample itself, to the bit.
"""

from __future__ import annotations

from functools import cache

import numpy as np

TAPS = 16
PHASES = 1024
SPEEDS = np.exp2(np.arange(0, 13, 2) / 12)  # a kernel for every two semitones up to an octave


@cache
def kernel_bank() -> np.ndarray:
    """f64[speeds · (PHASES + 1), TAPS]; the taps stand on samples floor(position) - 7 … floor(position) + 8."""
    t = np.arange(TAPS) - (TAPS // 2 - 1) - np.arange(PHASES + 1)[:, None] / PHASES
    window = np.cos(np.pi * t / (TAPS + 2)) ** 2
    kernels = [np.sinc(t / speed) * window for speed in SPEEDS]
    kernels[0][0] = np.eye(TAPS)[TAPS // 2 - 1]
    bank = np.concatenate([kernel / kernel.sum(axis=1, keepdims=True) for kernel in kernels])
    bank.setflags(write=False)
    return bank
