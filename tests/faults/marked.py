"""The marked signal, and the judge that finds it again.

A voice-like sound that never pauses carries a code at -60 dB: noise of a known seed, repeated each second, above the
band of the voice. Wherever a piece of a recording correlates with the code, at any shift, it is the bare voice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

RATE = 48000
CODE_DB = -60.0
PERIOD = RATE  # samples of the code
BAND_HZ = (11000.0, 17000.0)  # of the code: kept by a graph at 44.1 kHz, and free of the voice
WINDOW = 1920  # 40 ms: 480 degrees of freedom in the band
STEP = 480
FOUND = 0.45  # chance reaches 0.25 with 48,000 shifts; half the energy in the band is 0.7
SILENT = 1e-5
SHORTEST_SILENCE = RATE // 200  # 5 ms
EDGE = RATE // 2000  # 0.5 ms beside a silence: a 5 ms fade has come down to 2 % there
CUT = 0.5  # of the RMS: an edge louder than that is a cut


def code() -> np.ndarray:
    """f64[PERIOD], RMS 1, periodic."""
    spectrum = np.fft.rfft(np.random.default_rng(20261120).standard_normal(PERIOD))
    hz = np.fft.rfftfreq(PERIOD, 1 / RATE)
    spectrum[(hz < BAND_HZ[0]) | (hz > BAND_HZ[1])] = 0
    wave = np.fft.irfft(spectrum, PERIOD)
    return wave / np.sqrt(np.mean(wave**2))


def voice(seconds: int, seed: int = 1) -> np.ndarray:
    """f64[seconds * RATE]: gliding vowels at RMS 0.1 whose loudness flutters, nothing above 9 kHz."""
    rng = np.random.default_rng(seed)
    n = seconds * RATE
    t = np.arange(n) / RATE
    hz = 150 + 25 * np.sin(2 * np.pi * 0.23 * t) + 4 * np.sin(2 * np.pi * 5.1 * t)
    phase = np.cumsum(hz) / RATE
    pulses = (np.diff(np.floor(phase), prepend=0) > 0).astype(float) + 0.01 * rng.standard_normal(n)
    wave = np.zeros(n)
    for formant, width, gain in ((650, 90, 1.0), (1150, 110, 0.6), (2500, 160, 0.3), (3400, 250, 0.15)):
        r = np.exp(-np.pi * width / RATE)
        wave += gain * signal.lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * formant / RATE), r * r], pulses)
    # what correlates when delays are measured: the loudness, new every 60 ms
    steps = np.repeat(rng.uniform(0.35, 1.0, n // 2880 + 2), 2880)[:n]
    low = signal.butter(2, 25, fs=RATE, output="sos")
    wave *= signal.sosfiltfilt(low, steps)
    wave = signal.sosfilt(signal.butter(8, 8500, fs=RATE, output="sos"), wave)
    return 0.1 * wave / np.sqrt(np.mean(wave**2))


def marked(seconds: int) -> np.ndarray:
    """f32: the voice with the code under it."""
    speech = voice(seconds)
    level = 10 ** (CODE_DB / 20) * np.sqrt(np.mean(speech**2))
    return (speech + level * np.tile(code(), seconds)).astype(np.float32)


def bare_samples(heard: np.ndarray) -> int:
    """How many samples of f32[n] @48k lie in windows where the code is found."""
    found = np.zeros(len(heard), bool)
    for begin, score in scores(heard):
        if score > FOUND:
            found[begin : begin + WINDOW] = True
    return int(found.sum())


def scores(heard: np.ndarray) -> list[tuple[int, float]]:
    """(first sample, normalized correlation with the best shift of the code) of each window that is no silence."""
    band = signal.butter(6, BAND_HZ, "bandpass", fs=RATE, output="sos")
    x = signal.sosfiltfilt(band, np.asarray(heard, np.float64)) if len(heard) > WINDOW else np.zeros(0)
    known = signal.sosfiltfilt(band, np.tile(code(), 3))[PERIOD : 2 * PERIOD]
    reference = np.conj(np.fft.rfft(known))
    ahead = np.cumsum(np.concatenate(([0.0], np.tile(known**2, 2))))
    power = ahead[WINDOW : WINDOW + PERIOD] - ahead[:PERIOD]
    answers = []
    for begin in range(0, len(x) - WINDOW, STEP):
        piece = x[begin : begin + WINDOW]
        energy = float(piece @ piece)
        if energy < 1e-18 * WINDOW:
            continue
        shifts = np.fft.irfft(np.conj(np.fft.rfft(piece, PERIOD)) * np.conj(reference), PERIOD)
        answers.append((begin, float(np.max(np.abs(shifts) / np.sqrt(energy * power)))))
    return answers


@dataclass(frozen=True)
class Silence:
    begin: int
    end: int
    # samples


def silences(heard: np.ndarray) -> list[Silence]:
    """Every run of at least 5 ms without sound."""
    quiet = np.concatenate(([False], np.abs(heard) < SILENT, [False]))
    edges = np.flatnonzero(np.diff(quiet.astype(np.int8)))
    return [Silence(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= SHORTEST_SILENCE]


def clicks(heard: np.ndarray, healthy: np.ndarray) -> int:
    """Jumps of more than twice the largest of the healthy sound, and sound cut off or on without a fade."""
    loudness = float(np.sqrt(np.mean(np.square(healthy)))) if len(healthy) else 0.1
    largest = float(np.max(np.abs(np.diff(healthy)))) if len(healthy) > 1 else 1.0
    jumps = int((np.abs(np.diff(heard)) > 2 * largest).sum())
    cuts = 0
    for silence in silences(heard):
        before, after = heard[max(0, silence.begin - EDGE) : silence.begin], heard[silence.end : silence.end + EDGE]
        cuts += sum(bool(len(edge)) and float(np.max(np.abs(edge))) > CUT * loudness for edge in (before, after))
    return jumps + cuts


def delay_ms(source: np.ndarray, heard: np.ndarray) -> float:
    """How far `heard` is behind `source`, both f32[n] of one clock: where their loudness agrees best."""
    step = RATE // 1000
    low = signal.butter(2, 40, fs=1000, output="sos")

    def loudness(x: np.ndarray) -> np.ndarray:
        rms = np.sqrt(np.mean(np.square(x[: len(x) // step * step].reshape(-1, step)), axis=1) + 1e-12)
        shape = signal.sosfiltfilt(low, np.log(rms + 1e-3))
        return shape - shape.mean()

    a, b = loudness(source.astype(np.float64)), loudness(heard.astype(np.float64))
    agreement = signal.correlate(b, a, "full")[len(a) - 1 :]
    return float(np.argmax(agreement[:1000]))
