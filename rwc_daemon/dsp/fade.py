"""Fades for swapping one voice for another."""

from __future__ import annotations

import numpy as np


def equal_power(n: int) -> tuple[np.ndarray, np.ndarray]:
    """(fade_in f32[n], fade_out f32[n]): their squares sum to 1, so two unrelated sounds keep their loudness."""
    angle = (np.arange(n) + 0.5) * (np.pi / 2 / max(n, 1))
    return np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)


def equal_gain(n: int) -> tuple[np.ndarray, np.ndarray]:
    """(fade_in f32[n], fade_out f32[n]): they sum to 1, so two renderings of the same sound keep their loudness."""
    rising, falling = equal_power(n)
    return rising**2, falling**2
