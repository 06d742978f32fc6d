"""The reference's own realtime loop, number by number: the yardstick of tests and benchmarks, not what goes live.

It redraws noise and restarts the sine with every block and hides that behind a search for the best splice; its gate
cuts hard; its noise reduction works on spectra of the whole window. Source: docs/rvc.md section 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import convolve1d

from rwc_daemon.dsp.resample import resample
from rwc_daemon.plan import HOP_16K, RATE_16K, hop_at
from rwc_daemon.voices.rvc.sola import Geometry, Sola, fade_in, follow_envelope, frame_levels, whole_hops

GATE_OFF_DB = -60.0
FLOOR_DB, SPAN_DB = -100.0, 80.0  # of the gate's levels
EDGE_HOPS = 2
Infer = Callable[[np.ndarray], np.ndarray]  # the window @16k → rendered samples @voice


@dataclass(frozen=True)
class ReferenceSettings:
    """What the reference lets one choose, in its own terms."""

    rate: int
    block_s: float = 0.25
    crossfade_s: float = 0.05
    context_s: float = 2.5
    gate_db: float = GATE_OFF_DB
    """At -60 the gate is off."""
    denoise_input: bool = False
    denoise_output: bool = False
    envelope: float = 1.0
    """Share of the input's loudness (1 - rms_mix_rate)."""

    @property
    def geometry(self) -> Geometry:
        return Geometry(
            rate=self.rate,
            block=whole_hops(self.block_s, self.rate),
            context=whole_hops(self.context_s, self.rate),
            crossfade=whole_hops(self.crossfade_s, self.rate),
            search=hop_at(self.rate),
        )


class ReferenceLoop:
    """Memory of the loop. `infer` None: the input itself is played (its monitor mode)."""

    def __init__(self, settings: ReferenceSettings, voice_rate: int, infer: Infer | None) -> None:
        self.s, self.g = settings, settings.geometry
        self._voice_rate, self._infer = voice_rate, infer
        g = self.g
        self.heard = np.zeros(g.window, np.float32)
        self.heard_16k = np.zeros(g.window_16k, np.float32)
        self.denoised, self.played = np.zeros_like(self.heard), np.zeros_like(self.heard)
        self._denoised_tail = np.zeros(g.fade, np.float32)
        self._gate_memory = np.zeros(4 * g.hop, np.float32)
        self.sola = Sola(g)
        self.inferred = np.empty(0, np.float32)  # the newest rendering @voice

    def feed(self, x: np.ndarray) -> np.ndarray:
        """f32[block] → f32[block] @rate."""
        y = self._render(self._hear(x))
        if self.s.denoise_output:
            self.played = _shifted(self.played, y[-self.g.block :], self.g.block)
            y = spectral_gate(y, self.played, self.g.hop)
        if self._infer is not None:
            y = follow_envelope(y, self._clean[self.g.context :], self.g.hop, self.s.envelope)
        return self.sola.feed(y)

    @property
    def _clean(self) -> np.ndarray:
        return self.denoised if self.s.denoise_input else self.heard

    def _hear(self, x: np.ndarray) -> np.ndarray:
        """The window @16k with the new block in it."""
        g = self.g
        written = self._gated(x) if self.s.gate_db > GATE_OFF_DB else x
        self.heard = _shifted(self.heard, written, g.block)
        fresh = len(written)
        if self.s.denoise_input:
            self._denoise()
            fresh = g.block
        newest = resample(self._clean[-(fresh + EDGE_HOPS * g.hop) :], g.rate, RATE_16K)[HOP_16K:]
        self.heard_16k = _shifted(self.heard_16k, newest, g.block_16k)
        return self.heard_16k

    def _render(self, x_16k: np.ndarray) -> np.ndarray:
        if self._infer is None:
            return self._clean[self.g.context :]
        self.inferred = self._infer(x_16k)
        return resample(self.inferred, self._voice_rate, self.g.rate)

    def _gated(self, x: np.ndarray) -> np.ndarray:
        """f32[block] → f32[block + 2 hops]: cells of one hop whose level is too low are zero; no fade."""
        hop = self.g.hop
        x = np.concatenate([self._gate_memory, x])
        self._gate_memory = x[-4 * hop :]
        level_db = 20 * np.log10(np.maximum(frame_levels(x, 4 * hop, hop)[2:], 10 ** (FLOOR_DB / 20)))
        level_db = np.maximum(level_db, level_db.max() - SPAN_DB)
        kept = x[2 * hop - hop // 2 :].copy()
        for n in np.flatnonzero(level_db < self.s.gate_db):
            kept[n * hop : (n + 1) * hop] = 0
        return kept[hop // 2 :]

    def _denoise(self) -> None:
        g = self.g
        y = spectral_gate(self.heard[-(g.fade + g.block) :], self.heard, g.hop)
        rise = fade_in(g.fade)
        y[: g.fade] = y[: g.fade] * rise + self._denoised_tail * (1 - rise)
        self._denoised_tail = y[g.block :].copy()
        self.denoised = _shifted(self.denoised, y[: g.block], g.block)


def _shifted(memory: np.ndarray, newest: np.ndarray, by: int) -> np.ndarray:
    """`memory` moved on by `by` samples, with `newest` (at least as many) at its end."""
    moved = np.concatenate([memory[by:], np.zeros(by, memory.dtype)])
    moved[len(moved) - len(newest) :] = newest
    return moved


# ---- noise reduction on spectra ----

MASK_DB, SPREADS = 40.0, 1.5  # levels more than this under the row's greatest count as this; threshold over the mean
KEPT = 0.1  # of what is not above the threshold
SMOOTH_BINS, SMOOTH_FRAMES = 10, 5  # half-widths of the triangles that smooth the mask


def spectral_gate(x: np.ndarray, noise: np.ndarray, hop: int) -> np.ndarray:
    """`x` with all bins weakened that are no louder than usual in `noise`; windows of four hops. f32, same length."""
    spectrum = _stft(x, hop)
    usual = _levels_db(_stft(noise, hop))
    threshold = usual.mean(axis=1) + SPREADS * usual.std(axis=1, ddof=1)
    mask = np.where(_levels_db(spectrum) > threshold[:, None], 1.0, KEPT)
    for axis, half in ((0, SMOOTH_BINS), (1, SMOOTH_FRAMES)):
        triangle = 1 - np.abs(np.arange(-half, half + 1)) / (half + 1)
        mask = convolve1d(mask, triangle / triangle.sum(), axis=axis, mode="constant")
    cleaned = torch.from_numpy(spectrum * mask.astype(np.float32))
    y = torch.istft(cleaned, 4 * hop, hop, window=torch.hann_window(4 * hop), length=len(x))
    return y.numpy()


def _stft(x: np.ndarray, hop: int) -> np.ndarray:
    window, samples = torch.hann_window(4 * hop), torch.from_numpy(np.ascontiguousarray(x))
    return torch.stft(samples, 4 * hop, hop, window=window, pad_mode="constant", return_complex=True).numpy()


def _levels_db(spectrum: np.ndarray) -> np.ndarray:
    """Per bin, floored relative to the bin's greatest."""
    level_db = 20 * np.log10(np.abs(spectrum) + np.finfo(np.float64).eps)
    return np.maximum(level_db, level_db.max(axis=1, keepdims=True) - MASK_DB)


def phase_vocoder(tail: np.ndarray, head: np.ndarray) -> np.ndarray:
    """The older loop's crossfade: every partial glides from its old phase to its new one. f[n], f[n] → f[n].

    It costs n²/2 cosines, so they are summed a few rows at a time.
    """
    n = len(tail)
    rise = fade_in(n).astype(np.float64)
    fall = 1 - rise
    window = np.sqrt(fall * rise)
    old, new = np.fft.rfft(tail * window), np.fft.rfft(head * window)
    level = np.abs(old) + np.abs(new)
    level[1 : None if n % 2 else -1] *= 2
    turn = np.angle(new) - np.angle(old)
    turn -= 2 * np.pi * np.floor(turn / (2 * np.pi) + 0.5)
    at = np.arange(n) / n
    speed = 2 * np.pi * np.arange(len(level)) + turn
    glide = np.concatenate([np.cos(np.outer(part, speed) + np.angle(old)) @ level for part in np.array_split(at, 16)])
    return tail * fall**2 + head * rise**2 + window / n * glide
