"""Measures one conversion: pitch kept to, loudness, clipping, noise. Each is a plain function of samples.

Nothing here decides anything; the report and the demo's picture show what these say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import soxr

from rwc_daemon.plan import HOPS_PER_SECOND, RATE_16K
from rwc_daemon.voices.base import Samples
from rwc_daemon.voices.f0.shape import median
from rwc_daemon.voices.f0.yin import Yin

FRAMES_PER_SECOND = HOPS_PER_SECOND  # of a pitch track
FULL_SCALE = 0.9999  # a sample at least this large counts as clipped: the largest 16-bit value is 0.99997
BLOCK_S = 0.4  # of the loudness standard; a shorter sound is followed by silence
HIGHEST_SNR_DB = 100.0  # digital silence between words: better than any microphone
MEDIAN_FRAMES = 5  # takes away the octave slips at the edges of words
FEWEST_FRAMES = 10  # fewer voiced frames than this say nothing about pitch


@dataclass(frozen=True)
class PitchFigures:
    """How the obtained pitch follows the wanted one, over frames voiced in both (10 ms each)."""

    correlation: float | None
    """Of log pitch, -1 … 1; None where the pitch hardly moves or hardly anything is voiced."""
    error_cents: float | None
    """Median of |obtained - wanted|."""
    error_p95_cents: float | None
    wanted_hz: float | None
    """Medians."""
    obtained_hz: float | None
    voiced_share: float | None
    """Share of the input's voiced frames that are voiced in the output, 0 … 1."""


NO_PITCH = PitchFigures(None, None, None, None, None, None)


@dataclass(frozen=True)
class SoundFigures:
    """All figures of one file; None where a figure has no meaning (silence, a voice that follows no pitch)."""

    pitch: PitchFigures
    loudness_in_lufs: float | None
    loudness_out_lufs: float | None
    peak_out_db: float | None
    """dB full scale."""
    clipped_in: int
    clipped_out: int
    """Samples."""
    snr_in_db: float | None
    snr_out_db: float | None


@dataclass(frozen=True)
class Measurement:
    """The figures, and the two tracks behind them for drawing."""

    figures: SoundFigures
    wanted_hz: np.ndarray
    """Per 10 ms frame, 0 where unvoiced or where no pitch is wanted."""
    obtained_hz: np.ndarray


def measure(before: Samples, rate_in: int, after: Samples, rate_out: int, shift_semitones: float | None) -> Measurement:
    """Both sounds start together. `shift_semitones`: None where the voice's pitch does not follow the speaker's."""
    shift = 0.0 if shift_semitones is None else shift_semitones
    heard_hz, obtained_hz = pitch_track(before, rate_in), pitch_track(after, rate_out)
    pitch = NO_PITCH if shift_semitones is None else pitch_figures(heard_hz, obtained_hz, shift)
    figures = SoundFigures(
        pitch,
        loudness_lufs(before, rate_in),
        loudness_lufs(after, rate_out),
        peak_db(after),
        clipped(before),
        clipped(after),
        signal_to_noise_db(before, rate_in),
        signal_to_noise_db(after, rate_out),
    )
    wanted_hz = np.zeros_like(heard_hz) if shift_semitones is None else heard_hz * np.float32(2 ** (shift / 12))
    return Measurement(figures, wanted_hz, obtained_hz)


def pitch_track(x: Samples, rate: int) -> np.ndarray:
    """Hz per 10 ms frame, 0 where unvoiced. x: f32[n] @rate."""
    track = Yin().track(soxr.resample(np.asarray(x, np.float32), rate, RATE_16K))
    return median(track, MEDIAN_FRAMES)


def pitch_figures(before_hz: np.ndarray, after_hz: np.ndarray, shift_semitones: float) -> PitchFigures:
    """Two tracks on one time axis; wanted is `before_hz` moved by the shift."""
    n = min(len(before_hz), len(after_hz))
    wanted, obtained = before_hz[:n] * 2 ** (shift_semitones / 12), after_hz[:n]
    voiced, both = wanted > 0, (wanted > 0) & (obtained > 0)
    if both.sum() < FEWEST_FRAMES:
        return NO_PITCH
    asked, got = 1200 * np.log2(wanted[both]), 1200 * np.log2(obtained[both])
    error = np.abs(got - asked)
    steady = min(asked.std(), got.std()) < 1  # cents: a constant has no correlation
    return PitchFigures(
        correlation=None if steady else float(np.corrcoef(asked, got)[0, 1]),
        error_cents=float(np.median(error)),
        error_p95_cents=float(np.percentile(error, 95)),
        wanted_hz=float(np.median(wanted[both])),
        obtained_hz=float(np.median(obtained[both])),
        voiced_share=float(both.sum() / voiced.sum()),
    )


def loudness_lufs(x: Samples, rate: int) -> float | None:
    """Integrated loudness of a mono sound by ITU-R BS.1770-4; None for silence."""
    import pyloudnorm  # takes half a second

    least = math.ceil(BLOCK_S * rate) + 1
    loudness = pyloudnorm.Meter(rate, block_size=BLOCK_S).integrated_loudness(np.pad(x, (0, max(0, least - len(x)))))
    return float(loudness) if math.isfinite(loudness) else None


def clipped(x: Samples) -> int:
    """Samples at full scale."""
    return int((np.abs(x) >= FULL_SCALE).sum())


def peak_db(x: Samples) -> float | None:
    """The largest sample in dB full scale; None for silence."""
    peak = float(np.abs(x).max(initial=0))
    return 20 * float(np.log10(peak)) if peak > 0 else None


def signal_to_noise_db(x: Samples, rate: int) -> float | None:
    """An estimate from levels alone: the louder half of 20 ms frames over the quietest twentieth.

    Speech pauses often enough for its quietest twentieth to be the background. Music without a pause reads low.
    """
    size = rate // 50
    frames = np.asarray(x[: len(x) // size * size], np.float64).reshape(-1, size)
    if len(frames) < 40:  # under 0.8 s there need not be a pause
        return None
    powers = np.sort((frames**2).mean(axis=1))
    speech, noise = powers[len(powers) // 2 :].mean(), powers[: len(powers) // 20].mean()
    if speech <= 0:
        return None
    return min(HIGHEST_SNR_DB, 10 * float(np.log10(speech / max(noise, 1e-30))))
