"""Levels in dB full scale, for meters."""

from __future__ import annotations

import numpy as np

FLOOR_DB = -120.0


def to_db(amplitude: float) -> float:
    """Amplitude (1 is full scale) → dB, never below FLOOR_DB."""
    return max(FLOOR_DB, 20 * float(np.log10(max(amplitude, 1e-12))))


def peak_db(x: np.ndarray) -> float:
    """The loudest sample of `x`; FLOOR_DB where there is none."""
    return to_db(float(np.max(np.abs(x)))) if len(x) else FLOOR_DB


def rms_db(x: np.ndarray) -> float:
    """The mean power of `x`; a full-scale sine has -3."""
    return to_db(float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))) if len(x) else FLOOR_DB
