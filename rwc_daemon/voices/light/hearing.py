"""Pitch and loudness of the speaker, hop by hop, against what is usual for them. NumPy only; memories are arguments."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rwc_daemon.voices.f0 import lags, yin
from rwc_daemon.voices.light import shape

AROUND = lags.WIDTH // 2 + lags.TAPS // 2
"""Samples @16 kHz that the pitch of one moment needs on either side of it."""
HEADROOM = 1.2  # of the loudest hop over the usual height, log RMS: a sudden voice is not taken for a shout


@dataclass
class Memory:
    """What is known of the speaker."""

    heights: list[float] = field(default_factory=list)
    """Logarithms of pitch of the last voiced hops."""
    median: float = 0.0
    height: float = 0.0
    """The last voiced hop's, against the median."""
    loud: list[float] = field(default_factory=list)
    usual: float = shape.LOUD_LEAST
    hops: int = 0


def pitches(x_16k: np.ndarray) -> np.ndarray:
    """f32[2 · AROUND + 160 (n - 1)] → f32[n]: Hz of hops one after the other, 0 where unvoiced; yin's."""
    soft = lags.low_passed(x_16k)
    rows = np.lib.stride_tricks.sliding_window_view(soft, lags.WIDTH)[:: shape.HOP_16K]
    return yin.pitch_of(rows - rows.mean(axis=1, keepdims=True))


def step(hz: float, loud: float, memory: Memory) -> tuple[float, float, float]:
    """One hop → (pitch over its median as a logarithm, voiced, loudness over its usual height)."""
    voiced = hz > 0
    if voiced:
        own = float(np.log(hz))
        memory.heights = [*memory.heights[-shape.PITCH_HOPS + 1 :], own]
    memory.loud = [*memory.loud[-shape.LOUD_HOPS + 1 :], loud]
    if memory.hops % shape.EVERY == 0 or len(memory.heights) < 10 * shape.EVERY:
        if memory.heights:
            memory.median = float(np.median(memory.heights))
        usual = float(np.percentile(memory.loud, shape.LOUD_SHARE))
        memory.usual = max(usual, max(memory.loud) - HEADROOM, shape.LOUD_LEAST)
    memory.usual = max(memory.usual, loud - HEADROOM)
    memory.hops += 1
    if voiced:
        memory.height = float(np.clip(own - memory.median, *shape.PITCH_RANGE))
    return memory.height, float(voiced), loud - memory.usual
