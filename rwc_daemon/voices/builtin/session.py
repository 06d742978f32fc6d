"""The memory of one conversion by a built-in voice that is made of the grains of yours.

The work is done by `pitch.c`; its twin in NumPy, `testkit/builtin/twin`, is what the tests hold it to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.plan import Plan
from rwc_daemon.voices.builtin._builtin import ffi, lib
from rwc_daemon.voices.builtin.interpolate import PHASES, SPEEDS, TAPS, kernel_bank
from rwc_daemon.voices.builtin.presets import Preset

DELAY_MS = 12.0
PITCH_LIMIT, FORMANT_LIMIT = 36.0, 18.0  # semitones, preset and control together
LUCK = 4096  # random numbers drawn at once; a piece uses far fewer than it has samples


class PitchSession:
    """A voice made of the grains of yours."""

    def __init__(self, preset: Preset, plan: Plan, controls: Controls, seed: int) -> None:
        self.delay = round(DELAY_MS * plan.rate / 1000)
        self._preset = preset
        self._tables = kernel_bank(), np.array(SPEEDS)  # kept: the C side only borrows them
        kernels, speeds = (_doubles(table) for table in self._tables)
        sizes = len(SPEEDS), PHASES, TAPS
        voice = lib.rwc_pitch_make(plan.rate, self.delay, kernels, speeds, *sizes, preset.formant, preset.formant_high)
        if voice == ffi.NULL:
            raise MemoryError("no memory for a built-in voice")
        self._voice = ffi.gc(voice, lib.rwc_pitch_free)
        self._rng = np.random.default_rng(seed)
        self._luck, self._unlucky = self._rng.random(LUCK), 0  # and how many of them have been used
        self._used = ffi.new("int64_t *")

    def convert(self, x: np.ndarray, controls: Controls, silent: bool = False) -> np.ndarray:
        """f32[block] → f32[block]. `silent` needs no care: silence is cheap by itself."""
        x = np.ascontiguousarray(x, np.float32)
        y = np.empty_like(x)
        asked = self._asked(controls)
        for begin in range(0, len(x), lib.RWC_MOST_PIECE):
            piece = slice(begin, begin + lib.RWC_MOST_PIECE)
            self._convert_piece(x[piece], y[piece], asked)
        return y

    def _asked(self, controls: Controls) -> tuple[float, float, float]:
        """(semitones of pitch, semitones of formant, 1 where the sound is moved)."""
        preset = self._preset
        pitch, formant = preset.pitch + controls.pitch, controls.formant
        moved = pitch or formant or preset.formant or preset.formant_high
        return _within(pitch, PITCH_LIMIT), _within(formant, FORMANT_LIMIT), float(bool(moved))

    def _convert_piece(self, x: np.ndarray, y: np.ndarray, asked: tuple[float, float, float]) -> None:
        if self._unlucky + len(x) >= LUCK:
            rest = self._luck[self._unlucky :]
            self._luck = np.concatenate((rest, self._rng.random(LUCK - len(rest))))
            self._unlucky = 0
        luck = _doubles(self._luck[self._unlucky :])
        status = lib.rwc_pitch_convert(self._voice, _floats(x), len(x), *asked, luck, self._used, _floats(y))
        if status == lib.RWC_NO_MEMORY:
            raise MemoryError("no memory for a built-in voice")
        assert status != lib.RWC_REFUSED, "read samples that are not held"
        self._unlucky += self._used[0]


def _within(semitones: float, limit: float) -> float:
    return min(max(semitones, -limit), limit)


def _doubles(x: np.ndarray) -> Any:
    return ffi.cast("double *", ffi.from_buffer(x))


def _floats(x: np.ndarray) -> Any:
    return ffi.cast("float *", ffi.from_buffer(x))
