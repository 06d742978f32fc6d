"""The marked signal, and the judge that finds it again.

A voice-like sound that never pauses carries a code at -60 dB: noise of a known seed, repeated each second, above the
band of the voice. Wherever a piece of a recording correlates with the code, at any shift, it is the unprocessed voice.
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
BESIDE = RATE // 100
STANDS_OUT = 8.0  # times the RMS: of noise one sample in 10^15 does
SHORTEST_HOLE, LONGEST_HOLE = 16, 2048
LONGEST_DELAY_MS = 1000
AGREES, CLEARLY, BESIDE_MS = 0.5, 0.1, 60


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


def unprocessed_samples(heard: np.ndarray) -> int:
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
    """Samples."""


def silences(heard: np.ndarray, shortest: int = SHORTEST_SILENCE) -> list[Silence]:
    """Every run without sound that is at least so long."""
    quiet = np.concatenate(([False], np.abs(heard) < SILENT, [False]))
    edges = np.flatnonzero(np.diff(quiet.astype(np.int8)))
    return [Silence(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= shortest]


def holes(heard: np.ndarray, healthy: np.ndarray) -> list[Silence]:
    """Runs of nothing, cut hard at both ends, as long as a cycle of the graph or a few: what the server puts in where a
    process of the chain missed its cycle, or where the quantum changes. A fade of ours never looks like that."""
    loud = CUT * rms(healthy)
    found = []
    for gap in silences(heard, SHORTEST_HOLE):
        edges = heard[max(0, gap.begin - EDGE) : gap.begin], heard[gap.end : gap.end + EDGE]
        cut = all(len(edge) and float(np.max(np.abs(edge))) > loud for edge in edges)
        if cut and gap.end - gap.begin <= LONGEST_HOLE:
            found.append(gap)
    return found


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x)))) if len(x) else 0.1


def clicks(heard: np.ndarray, healthy: np.ndarray) -> int:
    """Jumps, and sound cut off or on without a fade; without those at the ends of holes."""
    ends = {end for hole in holes(heard, healthy) for end in (hole.begin, hole.end)}
    jumps = {int(at) + 1 for at in np.flatnonzero(_is_jump(heard, healthy))}
    cuts = set()
    for gap in silences(heard):
        for at, edge in ((gap.begin, heard[max(0, gap.begin - EDGE) : gap.begin]), (gap.end, heard[gap.end :][:EDGE])):
            if len(edge) and float(np.max(np.abs(edge))) > CUT * rms(healthy):
                cuts.add(at)
    return len((jumps | cuts) - ends)


def _is_jump(heard: np.ndarray, healthy: np.ndarray) -> np.ndarray:
    """bool[n-1]: steps of more than twice the largest of the healthy sound that stand out from the 10 ms on both sides:
    a louder or rougher voice has larger steps everywhere."""
    steps = np.abs(np.diff(heard.astype(np.float64)))
    largest = float(np.max(np.abs(np.diff(healthy)))) if len(healthy) > 1 else 1.0
    ahead = np.cumsum(np.concatenate((np.zeros(BESIDE + 1), steps**2, np.zeros(BESIDE))))
    around = ahead[2 * BESIDE + 1 :] - ahead[: -2 * BESIDE - 1] - steps**2
    return (steps > 2 * largest) & (steps**2 > STANDS_OUT**2 * around / (2 * BESIDE))


def delay_ms(source: np.ndarray, heard: np.ndarray) -> float:
    """How far `heard` is behind `source`, both f32[n] of one clock: where their loudness agrees best. Not a number
    where it agrees badly, or as well elsewhere."""
    a, b = _loudness(source), _loudness(heard)
    n = len(a) - LONGEST_DELAY_MS
    assert n > LONGEST_DELAY_MS, "too short to tell"
    agreement = np.array([np.corrcoef(a[:n], b[lag : lag + n])[0, 1] for lag in range(LONGEST_DELAY_MS)])
    best = int(np.argmax(np.nan_to_num(agreement, nan=-1.0)))
    elsewhere = np.concatenate([agreement[: max(0, best - BESIDE_MS)], agreement[best + BESIDE_MS :]])
    sure = agreement[best] > AGREES and np.nanmax(elsewhere) < agreement[best] - CLEARLY
    return float(best) if sure else float("nan")


def _loudness(x: np.ndarray) -> np.ndarray:
    """A value per millisecond; pauses count like the softest voice, or they would outweigh all else."""
    step = RATE // 1000
    power = np.mean(np.square(x[: len(x) // step * step].astype(np.float64).reshape(-1, step)), axis=1)
    return signal.sosfiltfilt(signal.butter(2, 40, fs=1000, output="sos"), np.log(np.sqrt(power) + 0.1 * rms(x) + 1e-6))
