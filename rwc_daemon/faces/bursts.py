"""Measures the delay of what may change a voice beyond recognition: noise bursts, found again by their envelope.

A voice moves pitch and formants, so the waveforms before and after do not correlate. How loud a sound is over time
survives: bursts of irregular length and distance make an envelope that fits itself at one lag only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rwc_daemon.voices.base import Samples

BURSTS = 16
BURST_MS, GAP_MS = (40.0, 90.0), (90.0, 210.0)
LEAD_MS = 250.0  # quiet before the first burst: the gate and the recorder settle
BAND_HZ = (300.0, 3800.0)  # where voices carry sound
LEVEL = 0.25
SMOOTH_MS = 4.0
LONGEST_MS = 1500.0


@dataclass(frozen=True)
class MeasuredDelay:
    """What was found."""

    ms: float
    likeness: float
    """Correlation of the two envelopes at that lag, 0 … 1."""


def bursts(rate: int, seed: int = 0, tail_ms: float = LONGEST_MS) -> Samples:
    """About 3 s of noise bursts, f32[n] @rate, and as much silence as they may be late; the same for the same seed."""
    random = np.random.default_rng(seed)
    pieces = [np.zeros(round(LEAD_MS * rate / 1000))]
    for _ in range(BURSTS):
        sound, gap = (round(random.uniform(*span) * rate / 1000) for span in (BURST_MS, GAP_MS))
        pieces += [_noise(random, sound, rate), np.zeros(gap)]
    pieces.append(np.zeros(round(tail_ms * rate / 1000)))
    return np.concatenate(pieces).astype(np.float32)


def delay_between(played: Samples, recorded: Samples, rate: int) -> MeasuredDelay:
    """By how much `recorded` lags `played`; both f32[n] @rate, begun at the same moment. Silence gives likeness 0."""
    count = max(len(played), len(recorded))
    sent, heard = (_envelope(np.pad(x, (0, count - len(x))), rate) for x in (played, recorded))
    power = float(np.sqrt(np.dot(sent, sent) * np.dot(heard, heard)))
    if power <= 1e-9:
        return MeasuredDelay(0.0, 0.0)
    size = 1 << (2 * count - 1).bit_length()
    match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sent, size)), size)
    lags = match[: round(LONGEST_MS * rate / 1000)]
    best = int(np.argmax(lags))
    return MeasuredDelay(1000 * (best + _between(lags, best)) / rate, float(lags[best]) / power)


def _noise(random: np.random.Generator, count: int, rate: int) -> np.ndarray:
    """Band-limited, with 3 ms edges, so that a burst is no click."""
    spectrum = np.fft.rfft(random.standard_normal(count))
    spectrum[~_band(count, rate)] = 0
    noise = np.fft.irfft(spectrum, count)
    edge = round(0.003 * rate)
    noise[:edge] *= np.linspace(0, 1, edge)
    noise[-edge:] *= np.linspace(1, 0, edge)
    return LEVEL * noise / np.abs(noise).max()


def _band(count: int, rate: int) -> np.ndarray:
    hz = np.fft.rfftfreq(count, 1 / rate)
    return (hz >= BAND_HZ[0]) & (hz <= BAND_HZ[1])


def _envelope(x: Samples, rate: int) -> np.ndarray:
    """Loudness over time, smoothed, without its mean."""
    window = np.hanning(max(3, round(SMOOTH_MS * rate / 1000)))
    loudness = np.sqrt(np.maximum(np.convolve(np.asarray(x, np.float64) ** 2, window / window.sum(), "same"), 0))
    return loudness - loudness.mean()


def _between(values: np.ndarray, best: int) -> float:
    """Where between samples the peak lies: the vertex of the parabola through three of them."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, top, after = values[best - 1 : best + 2]
    bend = before - 2 * top + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0
