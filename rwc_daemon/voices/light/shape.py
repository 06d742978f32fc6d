"""The sizes of the nets, and what training and the running voice compute alike. NumPy only.

Time on the nets' grid: content comes in frames of 20 ms, everything else in hops of 10 ms. Frame t of content stands
beside hops 2t and 2t + 1; hop i is centred on sample 160 · i @16 kHz and 240 · i @24 kHz.
"""

from __future__ import annotations

import numpy as np

RATE = 24000
"""Samples/s that the nets speak."""
HOP = 240
WINDOW = 480  # two hops: a frame of synthesis
FFT = 1024
BINS = FFT // 2 + 1

HOP_16K, FRAME_16K = 160, 320
MEL_WINDOW, MELS = 400, 80
QUIETEST_MEL = 1e-10

WIDTH, HEADS, BLOCKS, INNER = 144, 4, 4, 576
PAST_TAPS = 15  # frames that a convolution of the content encoder looks back
LOOK = (1, 0, 0, 0)  # and ahead, in each block
REACH = 64  # frames that attention looks back
TAKEN = (1, 3)  # the blocks whose results are the content
CONTENT = WIDTH * len(TAKEN)
PHONES = 191

CHANNELS = 224
REDUCED = 160
DILATIONS = (1, 2, 4, 8, 1, 2)
FIRST_TAPS, TAPS = 5, 3
CONDITIONS = 3  # pitch against its median, voiced or not, loudness against its usual height
EMBEDDING = 32
HARMONIC, PHASE, NOISE = slice(0, 100), slice(100, 200), slice(200, 250)
OUTPUTS = 250
PHASE_SCALE = 3.0
LOG_RANGE = (-12.0, 6.0)

LOUD_SHARE = 95  # percentile of loudness that counts as the usual height of speech
LOUD_HOPS = 500
LOUD_LEAST = -5.5  # log RMS: a room without speech is not taken for speech
PITCH_HOPS = 600  # voiced ones, whose median is the speaker's pitch
PITCH_RANGE = (-0.8, 0.9)  # of the logarithm of pitch over its median
EVERY = 5  # hops between two looks at either
HIGHEST_HARMONIC_HZ = 11800


def bands(count: int) -> np.ndarray:
    """f32[count, 513]: how much each band says about each bin; bands are triangles, evenly spaced in mels."""

    def mel(hz: float) -> float:
        return float(np.log1p(hz / 700))

    middle = 700 * np.expm1(np.linspace(0, mel(RATE / 2), count))
    hz = np.linspace(0, RATE / 2, BINS)
    table = np.zeros((count, BINS), np.float32)
    for n in range(count):
        left = middle[n - 1] if n else -1.0
        right = middle[n + 1] if n < count - 1 else 1e9
        table[n] = np.clip(np.minimum((hz - left) / (middle[n] - left), (right - hz) / (right - middle[n])), 0, 1)
    table[0] = np.where(hz <= middle[0], 1, table[0])
    return table / table.sum(axis=0, keepdims=True)


def window() -> np.ndarray:
    """f32[480]: the root of a periodic Hann window, once before and once behind the filter."""
    return np.sqrt(hann(WINDOW)).astype(np.float32)


def hann(size: int) -> np.ndarray:
    """f64[size]: periodic."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))


def loudness(x_16k: np.ndarray, hops: int) -> np.ndarray:
    """f32[hops]: the logarithm of the RMS of 20 ms around each hop; silence surrounds the sound."""
    half = FRAME_16K // 2
    summed = np.concatenate([[0.0], np.cumsum(np.pad(x_16k.astype(np.float64) ** 2, (half, FRAME_16K)))])
    begin = np.minimum(np.arange(hops) * HOP_16K, len(x_16k))
    return np.log(np.sqrt((summed[begin + FRAME_16K] - summed[begin]) / FRAME_16K + 1e-8)).astype(np.float32)


def held(values: np.ndarray, valid: np.ndarray, otherwise: float = 0.0) -> np.ndarray:
    """Each value, or where that is not valid the last valid one; before the first the first, with none `otherwise`."""
    if not valid.any():
        return np.full(len(values), otherwise, np.float32)
    last = np.maximum.accumulate(np.where(valid, np.arange(len(values)), -1))
    return np.asarray(values[np.where(last < 0, int(np.argmax(valid)), last)], np.float32)


def pulses(phase: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """A train of pulses of power 1 that holds every harmonic up to 11.8 kHz; `phase` in periods, both f64[n]."""
    harmonics = np.maximum(1, np.floor(HIGHEST_HARMONIC_HZ / hz))
    angle = 2 * np.pi * (phase % 1)
    below = 2 * np.sin(angle / 2)
    flat = np.abs(below) < 1e-4
    summed = np.where(flat, harmonics, np.sin((harmonics + 0.5) * angle) / np.where(flat, 1, below) - 0.5)
    return (summed * np.sqrt(2 / harmonics)).astype(np.float32)
