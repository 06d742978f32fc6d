"""YIN: the lag at which a frame differs least from itself. Always there, fast, no look-ahead beyond its frame.

De Cheveigné & Kawahara, "YIN, a fundamental frequency estimator for speech and music" (JASA 2002), steps 1 – 5, with
two changes: pairs are centred (see `lags`), and instead of one absolute threshold the first dip wins that is nearly as
deep as the deepest. A fixed threshold takes half the period for the period as soon as the second harmonic is strong.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.plan import RATE_16K
from rwc_daemon.voices.f0 import lags
from rwc_daemon.voices.f0.base import QUIETEST

NEARLY = 0.04  # how much shallower than the deepest dip the first may be
VOICED = 0.4  # aperiodicity (0 periodic … 1 noise) from which a frame is unvoiced


class Yin:
    name = "yin"

    def track(self, x_16k: np.ndarray) -> np.ndarray:
        """f32[N] → f32[N // 160 + 1], 50 … 1100 Hz or 0."""
        return np.concatenate([pitch_of(rows) for rows in lags.frames(x_16k)])


def pitch_of(rows: np.ndarray) -> np.ndarray:
    """Frames as `lags.frames` gives them → f32[B]: Hz or 0."""
    energy = lags.pair_energy(rows)
    dips = _normalised(energy, lags.correlation(rows))
    middle = dips[:, lags.SHORTEST : lags.LONGEST + 1]
    left, right = dips[:, lags.SHORTEST - 1 : lags.LONGEST], dips[:, lags.SHORTEST + 1 : lags.LONGEST + 2]
    depth = np.where((middle <= left) & (middle < right), middle, np.inf)
    first = np.argmax(depth <= depth.min(axis=1, keepdims=True) + NEARLY, axis=1)
    at = np.arange(len(rows)), first
    offset, _ = lags.vertex(left[at], middle[at], right[at])
    loud = energy[:, 0] > 2 * lags.WIDTH * QUIETEST**2
    hz = RATE_16K / (lags.SHORTEST + first + offset)
    return np.where(loud & (depth[at] < VOICED), hz, 0).astype(np.float32)


def _normalised(energy: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """The cumulative mean normalised difference, f64[B, lags]: the difference per pair over its mean so far."""
    count = np.arange(energy.shape[1])
    difference = np.maximum(energy - 2 * correlation, 0) / (lags.WIDTH - count)
    mean = np.cumsum(difference, axis=1) / np.maximum(count, 1)
    return difference / np.maximum(mean, 1e-12)
