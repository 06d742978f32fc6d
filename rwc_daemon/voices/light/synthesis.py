"""Parameters of sound → sound @24 kHz, two hops at a time: pulses and noise, each through a filter per frame. NumPy
only; the memory is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import fft

from rwc_daemon.voices.light import shape

STEP = 2 * shape.HOP


@dataclass
class Memory:
    """What one stream of sound goes on from."""

    noise: np.random.Generator
    phase: float = 0.0
    """Of the pulses, in periods."""
    pulses: np.ndarray = field(default_factory=lambda: np.zeros(shape.HOP, np.float32))
    hiss: np.ndarray = field(default_factory=lambda: np.zeros(shape.HOP, np.float32))
    tail: np.ndarray = field(default_factory=lambda: np.zeros(shape.HOP, np.float32))
    """The second half of the last frame."""


class Synthesis:
    """The filters' shapes; `formant_factor` moves the envelope of the harmonics and of the noise up by so much."""

    def __init__(self, formant_factor: float = 1.0) -> None:
        self._window = shape.window()
        place = np.minimum(np.arange(shape.BINS) / formant_factor, shape.BINS - 1)
        self._harmonic, self._noise = (_at(shape.bands(count), place) for count in (100, 50))
        self._phase = shape.bands(100)

    def step(self, parameters: np.ndarray, hz: np.ndarray, gain: np.ndarray, memory: Memory) -> np.ndarray:
        """f32[2, 250], f64[2] pitches, f32[2] factors → f32[480]: from the hop before the first to the second."""
        pulses, hiss = self._pulses(hz, memory), memory.noise.standard_normal(STEP, np.float32)
        frames = [np.concatenate([before, now]) for before, now in ((memory.pulses, pulses), (memory.hiss, hiss))]
        memory.pulses, memory.hiss = pulses[-shape.HOP :], hiss[-shape.HOP :]
        rows = np.stack([frame[n * shape.HOP : n * shape.HOP + shape.WINDOW] for frame in frames for n in range(2)])
        tone, rough = fft.rfft(rows * self._window, shape.FFT, axis=1).reshape(2, 2, -1)
        turn = np.exp(1j * shape.PHASE_SCALE * (parameters[:, shape.PHASE] @ self._phase)).astype(np.complex64)
        harmonic, noise = (
            np.exp((parameters[:, part] @ table).clip(*shape.LOG_RANGE)) * gain[:, None]
            for part, table in ((shape.HARMONIC, self._harmonic), (shape.NOISE, self._noise))
        )
        y = fft.irfft(tone * (harmonic * turn) + rough * noise, shape.FFT, axis=1)[:, : shape.WINDOW] * self._window
        laid = np.zeros(3 * shape.HOP, np.float32)
        laid[: shape.HOP] = memory.tail
        laid[: shape.WINDOW] += y[0]
        laid[shape.HOP :] += y[1]
        memory.tail = laid[STEP:].copy()
        return laid[:STEP]

    @staticmethod
    def _pulses(hz: np.ndarray, memory: Memory) -> np.ndarray:
        each = np.repeat(hz, shape.HOP)
        phase = memory.phase + np.cumsum(each) / shape.RATE
        memory.phase = float(phase[-1] % 1)
        return shape.pulses(phase, each)


def _at(table: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The columns of a table at places between its columns."""
    first = np.minimum(place.astype(int), table.shape[1] - 2)
    share = (place - first).astype(np.float32)
    return np.asarray(table[:, first] * (1 - share) + table[:, first + 1] * share, np.float32)
