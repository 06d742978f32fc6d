"""A whisper: the shape of the spectrum stays, the vocal folds are replaced by noise.

Every 3 ms the spectrum of 12 ms of input is smoothed until its harmonics are gone (its autocorrelation is cut off
before the first pitch period), given to white noise, and overlapped. Whispering glottises have less below 1 kHz than
singing ones, so voiced sound loses its low end; sounds that had no pitch keep theirs.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft

from rwc_daemon.controls import Controls
from rwc_daemon.dsp.finite import finite
from rwc_daemon.dsp.glide import Glide
from rwc_daemon.dsp.history import History
from rwc_daemon.plan import Plan
from rwc_daemon.voices.builtin.presets import Preset
from rwc_daemon.voices.builtin.track import PitchTrack

STEP_MS = 3.0
STEPS = 4  # in one window
SMOOTH_MS = 3.5  # longest lag kept of the autocorrelation where there is no pitch
VOICED_SMOOTH_MS = 6.0  # and where there is one, if that is less than its period: two formants of a man stay two
DARK_HZ = 900.0  # below this voiced sound is turned down
MOST_LOUDER = 16.0  # times the power: what hums below speech is no whisper
GLIDE_MS = 20.0
FORMANT_LIMIT = 18.0


class WhisperSession:
    """Delay: one window, 12 ms."""

    def __init__(self, preset: Preset, plan: Plan, controls: Controls, seed: int) -> None:
        self._preset = preset
        self._step = round(STEP_MS * plan.rate / 1000)
        self._n = STEPS * self._step
        self.delay = self._n
        self._fft = fft.next_fast_len(2 * self._n, real=True)
        self._window = np.sin(np.pi * (np.arange(self._n) + 0.5) / self._n)
        self._x = History(plan.block + self._n + round(0.1 * plan.rate))
        self._y = np.zeros(self._n + plan.block + self._step)
        self._track = PitchTrack(plan.rate)
        self._period = 0.0
        self._next_hop, self._next_frame = self._track.hop, self._step
        self._rng = np.random.default_rng(seed)
        self._formant = Glide(round(GLIDE_MS * plan.rate / 1000))
        self._lags = np.arange(self._fft // 2 + 1)
        self._longest_lag = SMOOTH_MS * plan.rate / 1000
        self._longest_voiced_lag = VOICED_SMOOTH_MS * plan.rate / 1000
        hz = np.arange(self._fft // 2 + 1) * plan.rate / self._fft
        self._bins = np.arange(len(hz), dtype=np.float64)
        self._bright = hz / np.hypot(hz, DARK_HZ)
        self._ear = _loudness_weights(hz)
        self._voiced = 0.0
        self._aim(controls)

    def convert(self, x: np.ndarray, controls: Controls, silent: bool = False) -> np.ndarray:
        """f32[block] → f32[block]. `silent` needs no care: silence is cheap by itself."""
        begin = self._x.end
        self._x.write(finite(x))
        self._aim(controls)
        while min(self._next_hop, self._next_frame) <= self._x.end:
            if self._next_hop <= self._next_frame:
                self._period = self._track.step(self._x, self._next_hop)
                self._next_hop += self._track.hop
            else:
                self._frame(begin)
        self._formant.advance(len(x))
        y = self._y[: len(x)].astype(np.float32)
        self._y = np.concatenate((self._y[len(x) :], np.zeros(len(x))))
        return y

    def _aim(self, controls: Controls) -> None:
        formant = self._preset.formant + controls.formant
        self._formant.aim(float(np.clip(formant, -FORMANT_LIMIT, FORMANT_LIMIT)))

    def _frame(self, begin: int) -> None:
        """The window that ends at sample `_next_frame`, into the output."""
        stop = self._next_frame
        self._next_frame += self._step
        sound = self._x.view(stop - self._n, stop) * self._window
        at = stop - begin
        excitation = self._excitation(stop, at)
        power = float(np.dot(sound, sound))
        if power < 1e-12 * self._n:
            return
        # output sample stop - n is due at input sample stop: it is the one `delay` before
        shape = self._shape(sound, 2.0 ** (self._formant.at(at) / 12))
        self._y[at : at + self._n] += self._shaped(excitation, shape)[: self._n] * self._window

    def _excitation(self, stop: int, ahead: int) -> np.ndarray:
        """Noise of power 1 for the window that ends at input sample `stop`, `ahead` samples into the block: f64[n]."""
        return self._rng.standard_normal(self._n)

    def _shape(self, sound: np.ndarray, formant: float) -> np.ndarray:
        """The smooth spectrum of `sound`, its formants moved; f64[fft / 2 + 1]."""
        spectrum = fft.rfft(sound, self._fft)
        lag = min(self._longest_voiced_lag, self._period) if self._period else self._longest_lag
        kept = self._lags[: math.ceil(lag)]
        correlation = np.zeros(len(self._lags))
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        correlation[: len(kept)] = fft.irfft(power, self._fft)[: len(kept)] * _parzen(kept / lag)
        smooth = self._cosines(correlation)
        # unrelated frames add by their power, and each is windowed twice
        shape = np.sqrt(np.maximum(smooth, 0) * (4.0 / (STEPS * self._n)))
        if formant != 1:
            shape = np.interp(self._bins / formant, self._bins, shape) / np.sqrt(formant)
        return shape

    def _cosines(self, correlation: np.ndarray) -> np.ndarray:
        """The spectrum of a sound that is as long as `_fft` and the same backwards, by its first half."""
        if self._fft % 2 == 0:
            return fft.dct(correlation, 1)
        return fft.rfft(np.concatenate((correlation, correlation[:0:-1])), self._fft).real

    def _shaped(self, excitation: np.ndarray, shape: np.ndarray) -> np.ndarray:
        """f64[n or more]."""
        self._voiced += 0.5 * (bool(self._period) - self._voiced)
        darkened = shape * (1 - self._voiced + self._voiced * self._bright)
        # what the low end loses the rest gains: as loud as the voice was, however its spectrum falls
        louder = np.dot(self._ear, shape * shape) / max(float(np.dot(self._ear, darkened * darkened)), 1e-30)
        shape = np.sqrt(min(louder, MOST_LOUDER)) * darkened
        return fft.irfft(fft.rfft(excitation, self._fft) * shape, self._fft)


def _parzen(v: np.ndarray) -> np.ndarray:
    """The lag window whose spectrum is nowhere negative and falls fast: 1 at 0, 0 from 1 on."""
    return np.where(v < 0.5, 1 - 6 * v * v * (1 - v), 2 * np.maximum(1 - v, 0) ** 3)


def _loudness_weights(hz: np.ndarray) -> np.ndarray:
    """Of power, as ears weigh it: the shelf of 4 dB above 1.7 kHz and the high-pass at 38 Hz of ITU-R BS.1770."""
    s, low = 1j * hz / 1681.97, 1j * hz / 38.135
    shelf = (1.584865 * s * s + 1.258721 / 0.7071752 * s + 1) / (s * s + s / 0.7071752 + 1)
    return np.square(np.abs(shelf * low * low / (low * low + low / 0.5003 + 1)))
