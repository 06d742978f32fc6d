"""Short frames compared with themselves: the ground that `yin` and `autocorrelation` share. Numpy only.

Both compare a frame with itself moved by a lag τ over all pairs that lie in the frame, so that the pairs of every lag
are centred on the same instant: a pitch that glides is then met where the frame's time says. With a fixed first window,
as YIN is usually written, short lags would look 10 ms into the past.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.fft

from rwc_daemon.plan import HOP_16K, RATE_16K
from rwc_daemon.voices.f0.base import HIGHEST_HZ, LOWEST_HZ, frame_count

WIDTH = 1024  # samples of a frame: three periods of the lowest pitch
SHORTEST = int(RATE_16K / HIGHEST_HZ)  # lags in samples
LONGEST = int(RATE_16K / LOWEST_HZ)
BATCH = 512  # frames at once: bounds memory for long files
TAPS, CUTOFF_HZ = 31, 2500  # harmonics above say little about the period and make its peak too thin to interpolate


def softened(x_16k: np.ndarray) -> np.ndarray:
    """f32[N] low-passed without delay; silence surrounds it."""
    return low_passed(np.pad(x_16k, TAPS // 2))


def low_passed(x_16k: np.ndarray) -> np.ndarray:
    """f32[N] → f32[N - 30] by a Hann-windowed sinc: what the samples alone determine."""
    n = np.arange(TAPS) - TAPS // 2
    h = np.sinc(2 * CUTOFF_HZ / RATE_16K * n) * np.hanning(TAPS + 2)[1:-1]
    return np.convolve(x_16k, h / h.sum(), "valid").astype(np.float32)


def frames(x_16k: np.ndarray) -> Iterator[np.ndarray]:
    """f32[N] → batches f32[≤ BATCH, WIDTH], frame i centred on sample 160·i, silence beyond the ends, mean removed."""
    padded = np.pad(softened(x_16k), WIDTH // 2)
    rows = np.lib.stride_tricks.sliding_window_view(padded, WIDTH)[::HOP_16K][: frame_count(len(x_16k))]
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        yield batch - batch.mean(axis=1, keepdims=True)


def correlation(rows: np.ndarray) -> np.ndarray:
    """f32[B, WIDTH] → f32[B, LONGEST + 2]: Σ_j x[j]·x[j+τ] for τ = 0 … LONGEST + 1."""
    size = scipy.fft.next_fast_len(WIDTH + LONGEST + 2, real=True)
    spectrum = scipy.fft.rfft(rows, size, axis=1)
    return scipy.fft.irfft(spectrum.real**2 + spectrum.imag**2, size, axis=1)[:, : LONGEST + 2]


def pair_energy(rows: np.ndarray) -> np.ndarray:
    """f32[B, WIDTH] → f64[B, LONGEST + 2]: Σ_j (x[j]² + x[j+τ]²) over the pairs of each lag."""
    summed = np.cumsum(np.pad(rows.astype(np.float64) ** 2, ((0, 0), (1, 0))), axis=1)
    lags = np.arange(LONGEST + 2)
    return summed[:, WIDTH - lags] + summed[:, -1:] - summed[:, lags]


def vertex(left: np.ndarray, middle: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The extremum of the parabola through three neighbours: its place from the middle (−0.5 … 0.5), its value."""
    bend = left - 2 * middle + right
    offset = np.clip(0.5 * (left - right) / np.where(bend == 0, 1, bend), -0.5, 0.5)
    return offset, middle - 0.25 * (left - right) * offset
