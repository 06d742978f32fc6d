"""What happens to a voice on its way to us: other throats, rooms, microphones, lines. Only the source is treated so.

Resampling changes pitch, formants and length at once; the features are then laid back onto the time of the target.
"""

from __future__ import annotations

import numpy as np
import soxr
from scipy.signal import butter, fftconvolve, lfilter

from rwc_daemon.plan import RATE_16K

RATIO = (0.78, 1.3)


def changed(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """f32[n] @16 kHz → another, and by what ratio its time runs faster."""
    ratio = _between(rng, *RATIO) if rng.random() < 0.8 else 1.0
    if ratio != 1:
        x = soxr.resample(x, RATE_16K * ratio, RATE_16K)
    if rng.random() < 0.7:
        x = _equalised(x, rng)
    if rng.random() < 0.2:
        x = _in_a_room(x, rng)
    x = _recorded(x, rng)
    if rng.random() < 0.25:
        x = _over_a_line(x, rng)
    x = x * 10 ** (rng.uniform(-12, 6) / 20)
    return np.asarray(x, np.float32), ratio


def _recorded(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A cheap microphone: clipping, noise, a hum, an offset."""
    level = float(x.std()) + 1e-9
    if rng.random() < 0.1:
        most = level * rng.uniform(2, 5)
        x = np.clip(x, -most, most)
    if rng.random() < 0.15:
        b, a = butter(4, rng.uniform(3300, 5000) / 8000)
        x = lfilter(b, a, x)
    if rng.random() < 0.5:
        noise = rng.standard_normal(len(x))
        if rng.random() < 0.5:
            noise = lfilter([1.0], [1.0, -rng.uniform(0.7, 0.98)], noise)
        x = x + noise * (level / (noise.std() + 1e-9)) * 10 ** (-rng.uniform(10, 45) / 20)
    if rng.random() < 0.1:
        hum = np.sin(2 * np.pi * rng.choice((50, 60)) / RATE_16K * np.arange(len(x)) + rng.uniform(0, 6))
        x = x + hum * level * rng.uniform(0.02, 0.2) + level * rng.uniform(-0.3, 0.3)
    return x


def _over_a_line(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Telephone band, and often the steps of μ-law."""
    b, a = butter(2, [rng.uniform(100, 350) / 8000, rng.uniform(3200, 3900) / 8000], "band")
    x = lfilter(b, a, x)
    if rng.random() < 0.4:
        most = float(np.abs(x).max()) + 1e-9
        steps = rng.choice((32, 64, 127))
        folded = np.round(np.log1p(255 * np.abs(x) / most) / np.log(256) * steps) / steps
        x = np.sign(x) * np.expm1(folded * np.log(256)) / 255 * most
    return x + rng.standard_normal(len(x)) * x.std() * 10 ** (-rng.uniform(12, 35) / 20)


def _equalised(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    for _ in range(2):
        gain = 10 ** (rng.uniform(-9, 9) / 40)
        w = 2 * np.pi * _between(rng, 150, 6500) / RATE_16K
        wide = np.sin(w) / (2 * rng.uniform(0.5, 1.5))
        b = [1 + wide * gain, -2 * np.cos(w), 1 - wide * gain]
        a = [1 + wide / gain, -2 * np.cos(w), 1 - wide / gain]
        x = lfilter(np.array(b) / a[0], np.array(a) / a[0], x)
    return x


def _in_a_room(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n = int(rng.uniform(0.05, 0.3) * RATE_16K)
    room = rng.standard_normal(n) * np.exp(-6 * np.arange(n) / n) * rng.uniform(0.02, 0.08)
    room[0] = 1
    return np.asarray(fftconvolve(x, room)[: len(x)])


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
