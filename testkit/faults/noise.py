"""The judge that does not depend on the voice: noise of 2 to 18 kHz in the microphone, found as an exact copy.

A voice may let noise pass (`whisper`, `robot`), and correlates with it then; but what it gives out is not the same
samples through a short filter. The unprocessed microphone is: delay, gain and resampler are all that lies in between.
"""

from __future__ import annotations

import numpy as np

RATE = 48000
BAND_HZ = (2000, 18000)  # inside the pass band of every resampler between 44.1 and 48 kHz
RMS = 0.1
WINDOW_S, PIECE_S = 0.02, 0.005
TAPS = 17  # of the filter that may lie between: a fraction of a sample, and the edges of a resampler
ALIKE = 0.12  # of a window's energy, at the best delay: such a window is looked at closely (chance: 0.06)
SAME = 0.995  # of a piece's energy, by delay and filter: the unprocessed microphone (`robot` reaches 0.99)
EDGE = 0.03  # of the energy around a sample that may be something else where it is counted
RUN_S = 0.001  # how finely its samples are counted
SILENT = 1e-5


def noise(rate: int = RATE) -> np.ndarray:
    """f64[rate]: one second that repeats without a seam, the same sound at every rate."""
    hz = np.arange(rate // 2 + 1)
    spectrum = np.zeros(hz.size, complex)
    inside = (hz >= BAND_HZ[0]) & (hz <= BAND_HZ[1])
    spectrum[inside] = np.exp(2j * np.pi * np.random.default_rng(20261130).random(inside.sum()))
    wave = np.fft.irfft(spectrum, rate)
    return RMS * wave / np.sqrt(np.mean(wave**2))


def played(seconds: int) -> np.ndarray:
    """f32 @48k: what the microphone hears."""
    return np.tile(noise(), seconds).astype(np.float32)


def unprocessed_samples(heard: np.ndarray, rate: int = RATE) -> int:
    """How many samples of f32[n] @rate are the microphone's own."""
    return int(unprocessed(heard, rate).sum())


def unprocessed(heard: np.ndarray, rate: int = RATE) -> np.ndarray:
    """bool[n]: where f32[n] is the microphone's own sound."""
    x = np.asarray(heard, np.float64)
    known = noise(rate)
    conjugate = np.conj(np.fft.rfft(known))
    window, piece = round(WINDOW_S * rate), round(PIECE_S * rate)
    found = np.zeros(len(x), bool)
    for begin in range(0, len(x) - window + 1, window // 2):
        part = x[begin : begin + window]
        energy = float(part @ part)
        if energy < SILENT**2 * window:
            continue
        agreement = np.fft.irfft(np.fft.rfft(part, rate) * conjugate, rate)
        delay = int(np.argmax(np.abs(agreement)))
        if agreement[delay] ** 2 < ALIKE * energy * window * RMS**2:
            continue
        _mark(x, begin, window, piece, (-delay - begin) % rate, known, found)
    return found


def _mark(x: np.ndarray, begin: int, window: int, piece: int, shift: int, known: np.ndarray, found: np.ndarray) -> None:
    """Marks what a filter of the known noise explains: sample n is heard `shift` samples late in the known second."""
    rate = len(known)
    for first in range(begin, begin + window - piece + 1, piece // 2):
        y = x[first : first + piece]
        energy = float(y @ y)
        if energy < SILENT**2 * piece:
            continue
        taps, *_ = np.linalg.lstsq(_delayed(known, first, piece, shift), y, rcond=None)
        if 1 - _energy(y - _delayed(known, first, piece, shift) @ taps) / energy < SAME:
            continue
        low, high = max(0, first - piece), min(len(x), first + 2 * piece)
        y = x[low:high]
        rest = y - _delayed(known, low, high - low, shift) @ taps
        run = np.ones(max(1, round(RUN_S * rate)))
        power = np.convolve(y**2, run, "same")
        same = np.convolve(rest**2, run, "same") < EDGE * power
        found[low:high] |= same & (power > SILENT**2 * run.size)


def _delayed(known: np.ndarray, first: int, n: int, shift: int) -> np.ndarray:
    """f64[n, TAPS]: the known noise as it would be heard, at delays around `shift`."""
    at = np.arange(first, first + n)[:, None] + shift + np.arange(-(TAPS // 2), TAPS // 2 + 1)
    return known[at % len(known)]


def _energy(x: np.ndarray) -> float:
    return float(x @ x)
