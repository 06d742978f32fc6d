"""Sounds whose pitch is known at every sample."""

import numpy as np

RATE = 16000
VOICE = {k: 1 / k for k in range(1, 40)}  # a sawtooth: all harmonics, falling by 6 dB per octave


def glide(low_hz, high_hz, seconds=4.0):
    t = np.arange(int(seconds * RATE)) / (seconds * RATE)
    return low_hz * (high_hz / low_hz) ** t


def tone(f0_hz, harmonics, noise_db=None, level_db=-20.0):
    """Harmonics {number: amplitude} below the Nyquist frequency; noise in dB relative to the tone."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE
    x = sum(a * np.sin(k * phase + 0.7 * k * k) * (k * f0_hz < 7600) for k, a in harmonics.items())
    x = x / np.sqrt(np.mean(x**2))
    if noise_db is not None:
        x = x + 10 ** (noise_db / 20) * np.random.default_rng(0).standard_normal(len(x))
    return (10 ** (level_db / 20) * x).astype(np.float32)


def at_frames(f0_hz):
    """The truth at the middle of every frame."""
    return np.append(f0_hz, f0_hz[-1])[::160][: len(f0_hz) // 160 + 1]


def judged(found_hz, f0_hz):
    """Share of voiced frames and their relative errors, the edges apart, where half the frame is silence."""
    found, true = found_hz[4:-4], at_frames(f0_hz)[4:-4]
    voiced = found > 0
    return voiced.mean(), np.abs(found[voiced] / true[voiced] - 1)
