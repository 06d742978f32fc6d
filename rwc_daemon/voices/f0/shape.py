"""What is done to a pitch curve after tracking, the same for every tracker.

Curves are Hz per 10 ms frame, 0 where unvoiced. The figures of `coarse` are those that RVC voices were trained with
(docs/rvc.md 6.1); the rest is choice.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.voices.f0.base import HIGHEST_HZ, LOWEST_HZ

BINS = 255  # coarse pitch is 1 … 255; 1 is unvoiced or at most the lowest pitch


def transpose(f0_hz: np.ndarray, semitones: float) -> np.ndarray:
    """The curve moved by (possibly fractional) semitones."""
    return f0_hz * 2.0 ** (semitones / 12)


def coarse(f0_hz: np.ndarray) -> np.ndarray:
    """f[n] Hz → int64[n] in 1 … 255, linear in mel = 1127 ln(1 + f/700), halves to the even neighbour."""
    low, high = (1127 * np.log1p(edge / 700) for edge in (LOWEST_HZ, HIGHEST_HZ))
    mel = 1127 * np.log1p(np.asarray(f0_hz, np.float64) / 700)
    return np.rint(np.clip((mel - low) * (BINS - 1) / (high - low) + 1, 1, BINS)).astype(np.int64)


def interpolate_gaps(f0_hz: np.ndarray) -> np.ndarray:
    """Unvoiced frames filled: a straight line between voiced neighbours, the edges held. All unvoiced stays so."""
    voiced = np.flatnonzero(f0_hz > 0)
    if not len(voiced):
        return f0_hz
    return np.interp(np.arange(len(f0_hz)), voiced, f0_hz[voiced]).astype(f0_hz.dtype)


def median(f0_hz: np.ndarray, width: int = 3) -> np.ndarray:
    """Median over `width` (odd) frames, unvoiced beyond both ends: lone outliers, lone gaps and lone blips go."""
    assert width % 2, width
    half = width // 2
    rows = np.lib.stride_tricks.sliding_window_view(np.pad(f0_hz, half), width)
    return np.median(rows, axis=1).astype(f0_hz.dtype)


def smooth(f0_hz: np.ndarray, width: int = 5) -> np.ndarray:
    """Mean of the log pitch over `width` (odd) frames: voicing stays as it is.

    Neighbours count in pairs, both voiced, so that the ends of a glide are not pulled inwards.
    """
    assert width % 2, width
    half, n = width // 2, len(f0_hz)
    voiced = np.pad(f0_hz > 0, half)
    log = np.log(np.where(voiced, np.pad(f0_hz, half), 1))
    total, count = log[half : half + n].copy(), np.ones(n)
    for d in range(1, half + 1):
        before, after = slice(half - d, half - d + n), slice(half + d, half + d + n)
        pair = voiced[before] & voiced[after]
        total += pair * (log[before] + log[after])
        count += 2 * pair
    return np.where(f0_hz > 0, np.exp(total / count), 0).astype(f0_hz.dtype)
