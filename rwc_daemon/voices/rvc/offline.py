"""RVC's pipeline for whole sounds, with offline quality.

    16 kHz ─▶ high-pass ─▶ cut where it is quietest ─▶ pitch of the whole ─▶ each piece, with a margin on
    both sides, through the nets ─▶ joined ─▶ loudness ─▶ the wanted rate ─▶ below full scale

Source: docs/rvc.md section 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.plan import HOP_16K, RATE_16K
from rwc_daemon.voices.base import Progress
from rwc_daemon.voices.f0.base import Tracker
from rwc_daemon.voices.rvc.noise import Noise
from rwc_daemon.voices.rvc.render import Pitch, Renderer, to_frames
from rwc_daemon.voices.rvc.sola import frame_levels
from rwc_daemon.voices.rvc.synth import Window

HIGH_PASS_HZ, HIGH_PASS_ORDER = 48, 5
LOUDEST_IN, LOUDEST_OUT = 0.95, 0.99


@dataclass(frozen=True)
class Split:
    """How a long sound is cut into pieces, in seconds."""

    pad: float = 1.0
    """Margin rendered on both sides of a piece and dropped."""
    query: float = 6.0
    """The quietest place is looked for so far on both sides of the wanted one."""
    center: float = 38.0
    """Wanted length of a piece."""
    longest: float = 41.0
    """A sound up to this long stays whole."""


@dataclass(frozen=True)
class OfflineOptions:
    """What differs between the reference's pipeline and ours."""

    split: Split = Split()
    fill_gaps: bool = False
    """Unvoiced frames get their neighbours' pitch (voices trained since 2026)."""
    exact: bool = True
    """Every piece gives as much as it stands for; off: up to 30 ms less each, where its features end early."""


class OfflinePipeline:
    """One voice, ready to convert sounds at 16 kHz."""

    def __init__(self, renderer: Renderer, options: OfflineOptions = OfflineOptions()) -> None:
        self._r, self._o = renderer, options

    def convert(
        self,
        x_16k: np.ndarray,
        tracker: Tracker | None,
        noise: Noise,
        controls: Controls,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """f[n] @16k → f32 @voice. `tracker`: None for a voice without f0. Raises OutOfRange for a wrong speaker."""
        self._r.check_speaker(controls.speaker)
        heard = high_passed(x_16k)
        pad = round(self._o.split.pad * RATE_16K)
        cuts = [cut // HOP_16K * HOP_16K for cut in cut_points(heard, self._o.split)]
        padded = np.pad(heard, pad, mode="reflect")
        pitch = self._pitch(padded, tracker, controls)
        parts = []
        for n, (first, last) in enumerate(zip([0, *cuts], [*cuts, None], strict=True)):
            parts.append(self._piece(padded, pitch, first, last, noise, controls))
            if progress:
                progress((n + 1) / (len(cuts) + 1))
        y = np.concatenate(parts)
        return with_loudness(heard, RATE_16K, y, self._r.config.rate, controls.envelope)

    def _pitch(self, padded: np.ndarray, tracker: Tracker | None, controls: Controls) -> Pitch | None:
        if tracker is None:
            return None
        f0_hz = tracker.track(padded)[: len(padded) // HOP_16K]
        return Pitch.of(f0_hz, controls.pitch - controls.formant, self._o.fill_gaps or controls.f0_gaps == "fill")

    def _piece(
        self, padded: np.ndarray, pitch: Pitch | None, first: int, last: int | None, noise: Noise, controls: Controls
    ) -> np.ndarray:
        """The sound from sample `first` to `last` (None: the end), its margins rendered and dropped."""
        pad = round(self._o.split.pad * RATE_16K)
        end = len(padded) if last is None else last + 2 * pad
        start = first // HOP_16K
        part = pitch.part(start, end // HOP_16K if last is not None else len(pitch.hz)) if pitch else None
        y = self.convert_piece(padded[first : end + (0 if last is None else HOP_16K)], part, start, noise, controls)
        rate = self._r.config.rate
        margin = round(self._o.split.pad * rate)
        if self._o.exact:
            wanted = end - 2 * pad - first
            return y[margin : margin - (-wanted * rate // RATE_16K)]
        return y[margin : len(y) - margin]

    def convert_piece(
        self, x_16k: np.ndarray, pitch: Pitch | None, start: int, noise: Noise, controls: Controls
    ) -> np.ndarray:
        """One piece with its margins → f32 @voice, as many whole frames as features and pitch allow. `start`: number
        of its first frame, for the noise."""
        r = self._r
        rows = r.features(x_16k)
        T = min(len(x_16k) // HOP_16K, 2 * len(rows))
        if pitch is not None:
            T = min(T, len(pitch.hz))
            pitch = pitch.part(0, T)
        mixed = r.mixed(rows, controls.index_rate)
        raw, phone = to_frames(rows)[:T], to_frames(mixed)[:T]
        if pitch is not None and mixed is not rows:
            phone = r.guarded(phone, raw, pitch, controls.protect)
        window = Window(0, T)
        draws = noise.draws(start, T, window)
        return r.render(phone, pitch, controls.speaker, draws, window, controls.formant)


def high_passed(x_16k: np.ndarray) -> np.ndarray:
    """f[n] @16k → f64[n]: without what lies below speech, forward and backward so that nothing is delayed; its peak
    brought below full scale first."""
    from scipy import signal  # takes a second to import

    x = np.asarray(x_16k, np.float64)
    peak = np.abs(x).max(initial=0) / LOUDEST_IN
    b, a = signal.butter(HIGH_PASS_ORDER, HIGH_PASS_HZ, btype="high", fs=RATE_16K)
    edge = min(3 * max(len(a), len(b)), max(len(x) - 1, 0))
    return signal.filtfilt(b, a, x / max(peak, 1.0), padlen=edge)


def cut_points(x: np.ndarray, split: Split) -> list[int]:
    """Samples @16k at which a long sound is cut: near every multiple of `split.center`, where a hop is quietest."""
    center, query = round(split.center * RATE_16K), round(split.query * RATE_16K)
    half = HOP_16K // 2
    if len(x) + 2 * half <= split.longest * RATE_16K:
        return []
    padded = np.abs(np.pad(x, half, mode="reflect"))
    sums = np.concatenate([[0.0], np.cumsum(padded)])
    energy = sums[HOP_16K:] - sums[:-HOP_16K]
    wanted = range(center, len(x), center)
    return [t - query + int(np.argmin(energy[t - query : t + query])) for t in wanted]


def with_loudness(heard: np.ndarray, rate_heard: int, y: np.ndarray, rate: int, share: float) -> np.ndarray:
    """`y` @rate with the slow loudness of `heard` (the same sound @rate_heard), to the given share 0 … 1."""
    if share == 0 or not len(y):
        return y
    wanted = _laid_over(_slow_levels(heard, rate_heard), len(y))
    own = np.maximum(_laid_over(_slow_levels(y, rate), len(y)), 1e-6)
    return (y * (wanted**share * own**-share)).astype(np.float32)


def _slow_levels(x: np.ndarray, rate: int) -> np.ndarray:
    """Root mean square of one second, every half second, centred; silence surrounds the sound. f32."""
    return frame_levels(x, rate // 2 * 2, rate // 2)


def _laid_over(levels: np.ndarray, n: int) -> np.ndarray:
    """n values, linear between the centres of n / len(levels) samples each (the reference's; corners not aligned)."""
    at = (np.arange(n) + 0.5) * (len(levels) / n) - 0.5
    return np.interp(at, np.arange(len(levels)), levels)


def below_full_scale(y: np.ndarray) -> np.ndarray:
    """Divided by its peak where that exceeds 0.99."""
    return y / max(float(np.abs(y).max(initial=0)) / LOUDEST_OUT, 1.0)
