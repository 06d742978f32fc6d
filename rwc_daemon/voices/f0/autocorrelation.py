"""Autocorrelation with a path: several candidates per frame, and the cheapest way through all frames. Always there.

Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled sound"
(IFA Proceedings 17, 1993): the autocorrelation of the windowed frame over that of the window; leaps of an octave and
changes of voicing cost. Slower than `yin` and steadier where voices crack or breathe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rwc_daemon.plan import RATE_16K
from rwc_daemon.voices.f0 import lags
from rwc_daemon.voices.f0.base import QUIETEST

CANDIDATES = 6  # lags kept per frame, beside "unvoiced"
VOICED = 0.45  # strength of the candidate "unvoiced"
OCTAVE_COST = 0.01  # per octave down: of two equal lags take the shorter
LEAP_COST = 0.35  # per octave between neighbouring frames
VOICING_COST = 0.14  # per change between voiced and unvoiced


@dataclass(frozen=True)
class Candidates:
    hz: np.ndarray
    """f64[F, 1 + CANDIDATES]; 0 in the first column: unvoiced."""
    strength: np.ndarray
    """f64[F, 1 + CANDIDATES]; -inf where there is no candidate."""


class Autocorrelation:
    name = "autocorrelation"

    def track(self, x_16k: np.ndarray) -> np.ndarray:
        """f32[N] → f32[N // 160 + 1], 50 … 1100 Hz or 0."""
        parts = [_candidates(rows) for rows in lags.frames(x_16k)]
        every = Candidates(np.concatenate([p.hz for p in parts]), np.concatenate([p.strength for p in parts]))
        return _path(every).astype(np.float32)


def _candidates(rows: np.ndarray) -> Candidates:
    window = np.hanning(lags.WIDTH + 2)[1:-1].astype(np.float32)
    raw, own = lags.correlation(rows * window), lags.correlation(window[None])
    r = raw / np.maximum(raw[:, :1], 1e-12) * (own[:, :1] / own)
    middle = r[:, lags.SHORTEST : lags.LONGEST + 1]
    left, right = r[:, lags.SHORTEST - 1 : lags.LONGEST], r[:, lags.SHORTEST + 1 : lags.LONGEST + 2]
    octaves = np.log2(np.arange(lags.SHORTEST, lags.LONGEST + 1) / lags.SHORTEST)
    is_peak = (middle >= left) & (middle > right) & (middle > 0)
    score = np.where(is_peak, middle - OCTAVE_COST * octaves, -np.inf)
    best = np.argpartition(-score, CANDIDATES, axis=1)[:, :CANDIDATES]
    at = np.arange(len(rows))[:, None], best
    offset, value = lags.vertex(left[at], middle[at], right[at])
    strength = np.where(is_peak[at], np.minimum(value, 1) - OCTAVE_COST * octaves[best], -np.inf)
    loud = (rows**2).mean(axis=1, keepdims=True) > QUIETEST**2
    strength = np.where(loud, strength, -np.inf)
    hz = RATE_16K / (lags.SHORTEST + best + offset)
    unvoiced = np.zeros((len(rows), 1))
    return Candidates(np.hstack([unvoiced, hz]), np.hstack([unvoiced + VOICED, strength]))


def _path(found: Candidates) -> np.ndarray:
    """Viterbi: f64[F] Hz of the path whose strengths less its costs are greatest."""
    total = found.strength[0]
    pitch = np.log2(np.where(found.hz > 0, found.hz, 1))
    voiced = found.hz > 0
    came_from = []
    for t in range(1, len(found.hz)):
        leap = LEAP_COST * np.abs(pitch[t - 1][:, None] - pitch[t][None])
        both = voiced[t - 1][:, None] & voiced[t][None]
        change = VOICING_COST * (voiced[t - 1][:, None] != voiced[t][None])
        score = total[:, None] - np.where(both, leap, change)
        came_from.append(score.argmax(axis=0))
        total = score.max(axis=0) + found.strength[t]
    path = [int(total.argmax())]
    for back in reversed(came_from):
        path.append(int(back[path[-1]]))
    return found.hz[np.arange(len(path)), path[::-1]]
