"""A robot: the shape of the spectrum stays, the vocal folds become one note of its own.

The frames are those of the whisper. Where the input has a pitch, what is shaped is a train of pulses that knows nothing
of the input's melody; everywhere else it is noise. So no sample of the input is ever heard, also where somebody
breathes, hisses or whispers. Each pulse rings after itself, as a throat does: the filter is the one of
minimum phase, from the folded cepstrum (Oppenheim and Schafer, Discrete-Time Signal Processing, section 13.5).
"""

from __future__ import annotations

from collections import deque

import numpy as np
from scipy import fft

from rwc_daemon.controls import Controls
from rwc_daemon.dsp.drift import Drift
from rwc_daemon.dsp.glide import Glide
from rwc_daemon.plan import Plan
from rwc_daemon.voices.builtin.presets import Preset
from rwc_daemon.voices.builtin.session import PITCH_LIMIT
from rwc_daemon.voices.builtin.whisper import GLIDE_MS, STEPS, WhisperSession

RELATED = np.pi / (np.sqrt(2) * STEPS)  # the pulses of overlapping frames are the same ones and add by amplitude
LOWEST_HZ = 60.0  # of the pulses
STRIDE = 24  # about the square root of the number of bins
UNHEARD = 1e-10  # of the power (-100 dB): noise that is left of it is not worth a transform
DEEPEST = 1e-5  # of the spectrum's top (-100 dB): the logarithm needs a floor


class RobotSession(WhisperSession):
    """Delay: one window, 12 ms."""

    def __init__(self, preset: Preset, plan: Plan, controls: Controls, seed: int) -> None:
        self._pitch = Glide(round(GLIDE_MS * plan.rate / 1000))
        super().__init__(preset, plan, controls, seed)
        self._rate = plan.rate
        self._drift = Drift(plan.rate)  # a cut pulse has a mean
        self._next_pulse = 0.0  # input sample number
        self._window_begin = 0
        self._pulses: deque[tuple[float, float]] = deque()  # (sample number, weight) of the newest window
        # a pulse's phase at every bin is that of a multiple of STRIDE times that of the rest: 50 exponentials, not 600
        self._few = -2j * np.pi * np.arange(STRIDE) / self._fft
        self._many = -2j * np.pi * np.arange(0, len(self._bins), STRIDE) / self._fft
        hz = self._bins * plan.rate / self._fft
        self._low_cut = hz / np.hypot(hz, LOWEST_HZ)
        # keeps the causal half of a cepstrum, twice
        self._fold = np.zeros(self._fft)
        self._fold[0], self._fold[1 : (self._fft + 1) // 2] = 1, 2
        if self._fft % 2 == 0:
            self._fold[self._fft // 2] = 1

    def convert(self, x: np.ndarray, controls: Controls, silent: bool = False) -> np.ndarray:
        y = super().convert(x, controls, silent)
        self._pitch.advance(len(x))
        return (y - self._drift.feed(y)).astype(np.float32)

    def _aim(self, controls: Controls) -> None:
        super()._aim(controls)
        self._pitch.aim(float(np.clip(controls.pitch, -PITCH_LIMIT, PITCH_LIMIT)))

    def _excitation(self, stop: int, ahead: int) -> np.ndarray:
        """Noise; and the pulses of the same window are laid down."""
        period = self._rate / (self._preset.fixed_hz * 2.0 ** (self._pitch.at(ahead) / 12))
        while self._next_pulse < stop:
            self._pulses.append((self._next_pulse, RELATED * np.sqrt(period)))
            self._next_pulse += period
        self._window_begin = stop - self._n
        while self._pulses and self._pulses[0][0] < self._window_begin:
            self._pulses.popleft()
        return super()._excitation(stop, ahead)

    def _shaped(self, excitation: np.ndarray, shape: np.ndarray) -> np.ndarray:
        self._voiced += 0.5 * (bool(self._period) - self._voiced)
        sound = np.zeros(len(shape), np.complex128)
        if 1 - self._voiced > UNHEARD:
            sound = np.sqrt(1 - self._voiced) * shape * fft.rfft(excitation, self._fft)
        if self._voiced > 0.01:
            logs = np.log(np.maximum(shape, DEEPEST * shape.max()))
            ringing = np.exp(fft.rfft(fft.irfft(logs, self._fft) * self._fold, self._fft))
            sound += np.sqrt(self._voiced) * self._low_cut * ringing * self._turned()
        return fft.irfft(sound, self._fft)

    def _turned(self) -> np.ndarray:
        """The spectrum of the window's pulses, c128[fft / 2 + 1]."""
        if not self._pulses:
            return np.zeros(len(self._bins), np.complex128)
        at, weight = np.array(self._pulses).T
        at = at[:, None] - self._window_begin
        spectrum = (weight[:, None] * np.exp(self._many * at)).T @ np.exp(self._few * at)
        return spectrum.ravel()[: len(self._bins)]
