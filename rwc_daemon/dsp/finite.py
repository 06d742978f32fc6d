"""Samples that may come from anywhere, made safe for blocks with memory."""

from __future__ import annotations

import numpy as np


def finite(x: np.ndarray) -> np.ndarray:
    """float32[n] of `x`, NaN and infinity as 0: one such sample would stay in a recursive block for ever."""
    x = np.asarray(x, np.float32)
    good = np.isfinite(x)
    return x if good.all() else np.where(good, x, np.float32(0))
