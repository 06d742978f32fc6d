"""Voices to test with: vowels whose pitch is known exactly, sentences of espeak-ng, and a plain converter."""

from __future__ import annotations

import io
import subprocess
from functools import cache

import numpy as np
import soundfile
from scipy.signal import lfilter

from rwc_daemon.controls import Controls
from rwc_daemon.dsp.resample import resample
from rwc_daemon.plan import Plan
from rwc_daemon.voices.builtin.voice import load_builtin

RATE = 48000
FORMANTS = ((700, 80), (1220, 90), (2600, 120), (3400, 150))  # Hz, bandwidth: an "ah"
SENTENCE = "The quick brown fox jumps over a lazy dog."


def vowel(f0_hz: np.ndarray, rate: int = RATE, noise: float = 0.0) -> np.ndarray:
    """f32, peak 0.3: band-limited pulses between samples, a glottal slope, four resonances."""
    cycles = np.cumsum(f0_hz / rate)
    at = np.flatnonzero(np.diff(np.floor(cycles), prepend=np.floor(cycles[0])) > 0)
    at = at[(at >= 12) & (at < len(f0_hz) - 13)]
    late = (cycles[at] % 1) / (f0_hz[at] / rate)
    t = np.arange(-12, 13) + late[:, None]
    x = noise * np.random.default_rng(0).standard_normal(len(f0_hz))
    np.add.at(
        x, at[:, None] + np.arange(-12, 13), 0.8 * np.sinc(0.8 * t) * np.cos(np.pi * np.clip(t / 13, -1, 1) / 2) ** 2
    )
    x = lfilter([1], np.convolve([1, -0.97], [1, -0.9]), x)
    for hz, width in FORMANTS:
        radius = np.exp(-np.pi * width / rate)
        x = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * hz / rate), radius**2], x)
    return (0.3 * x / np.abs(x).max()).astype(np.float32)


def vibrato(f0_hz: float, seconds: float = 1.5, rate: int = RATE) -> np.ndarray:
    """Hz per sample: half a semitone to either side, 5.5 times a second."""
    return f0_hz * 2 ** (0.5 / 12 * np.sin(2 * np.pi * 5.5 * np.arange(round(seconds * rate)) / rate))


def glide(begin_hz: float, end_hz: float, seconds: float = 1.5, rate: int = RATE) -> np.ndarray:
    """Hz per sample."""
    return begin_hz * (end_hz / begin_hz) ** np.linspace(0, 1, round(seconds * rate))


@cache
def spoken(voice: str = "en-us", pitch: int = 50, text: str = SENTENCE, rate: int = RATE) -> np.ndarray:
    """f32: what espeak-ng says."""
    command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", "150", "--stdout", text]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    x, rate_in = soundfile.read(io.BytesIO(wav), dtype="float32")
    return 0.7 * resample(x, rate_in, rate)


def converted(
    voice: str, x: np.ndarray, controls: Controls | None = None, block: int = 1024, rate: int = RATE
) -> np.ndarray:
    """`x` through a fresh session, f32[len(x)], brought back in time by its delay."""
    controls = controls or Controls()
    session = load_builtin(voice).open(Plan(rate, 1, block), controls, seed=0)
    blocks = -(-(len(x) + session.delay) // block)
    padded = np.concatenate((x, np.zeros(blocks * block - len(x), np.float32)))
    y = np.concatenate([session.convert(part, controls) for part in np.split(padded, blocks)])
    return y[session.delay : session.delay + len(x)]
