"""One picture of a conversion: what went in, what came out, and the pitch of both, on one time axis.

Used by `rwcctl demo` and by the report of `rwcctl convert`. matplotlib is imported when a picture is drawn, not before,
and through its objects only: no window system, no global figure.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rwc_daemon.batch.measure import FRAMES_PER_SECOND, pitch_track
from rwc_daemon.voices.base import Samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN, HEIGHT_IN, DPI = 12.0, 8.6, 100  # 1200 × 860 pixels
LOWEST_HZ, HIGHEST_HZ = 50.0, 12000.0
BANDS = 300  # rows of a spectrogram, evenly spaced in octaves
WINDOW_S = 0.046  # long enough to part the harmonics of a low voice
COLUMNS = 1100  # no more columns than there are pixels
DEPTH_DB = 75.0  # quieter than this below the loudest: paper
TILT_DB = 3.0  # lift per octave: a voice falls by more than that, and its upper formants should still be seen
LEAP = 0.4  # octaves between neighbouring frames at which a pitch line is broken
AROUND_S, SHORT_S, STRANGE = 0.5, 0.12, 0.35  # a run shorter than SHORT_S and STRANGE octaves away is no pitch
FREQUENCY_TICKS = {100: "100", 200: "200", 500: "500", 1000: "1k", 2000: "2k", 5000: "5k", 10000: "10k"}
PITCH_TICKS = (50, 60, 80, 100, 130, 160, 200, 250, 300, 400, 500, 600, 800, 1000)

INK, FAINT, PAPER = "#27313f", "#8a94a3", "#ffffff"
BEFORE, AFTER = "#2f6fb2", "#c8501e"  # blue and rust: told apart by colour-blind eyes too
SHADES_BEFORE = ("#ffffff", "#d8e6f3", "#8fb7dd", "#3f7cba", "#123a66")
SHADES_AFTER = ("#ffffff", "#f8e2d6", "#eeb391", "#cf6a37", "#6e2a0d")


@dataclass(frozen=True)
class Side:
    """One of the two sounds, ready to be drawn."""

    label: str
    spectrogram_db: np.ndarray
    """[bands, columns], 0 is the loudest point of both sounds."""
    pitch_hz: np.ndarray
    """Per 10 ms frame, 0 where unvoiced."""
    seconds: float
    colour: str
    shades: tuple[str, ...]


def draw_demo(
    path: Path | io.BytesIO,
    before: Samples,
    after: Samples,
    rate: int,
    title: str,
    latency_ms: float | None = None,
) -> None:
    """Writes a PNG. `before`, `after`: f32[n] @rate; with a latency given, `after` lags by it and is moved back."""
    if latency_ms is not None:
        after = after[min(len(after), round(latency_ms * rate / 1000)) :]
    shown = max(1, min(len(before), len(after)))
    before, after = before[:shown], after[:shown]
    powers = _powers(before, rate), _powers(after, rate)
    loudest = max(float(side.max(initial=0)) for side in powers) or 1.0
    seconds = shown / rate
    sides = (
        Side("in", _bands_db(powers[0], rate, loudest), pitch_track(before, rate), seconds, BEFORE, SHADES_BEFORE),
        Side("out", _bands_db(powers[1], rate, loudest), pitch_track(after, rate), seconds, AFTER, SHADES_AFTER),
    )
    _figure(sides, min(HIGHEST_HZ, rate / 2), title, _caption(sides, latency_ms)).savefig(path, format="png", dpi=DPI)


def _figure(sides: tuple[Side, Side], top_hz: float, title: str, caption: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), facecolor=PAPER)
    FigureCanvasAgg(figure)
    rows = figure.add_gridspec(
        3, 1, height_ratios=(3, 3, 2), left=0.075, right=0.975, top=0.885, bottom=0.065, hspace=0.11
    )
    axes = [figure.add_subplot(rows[n]) for n in range(3)]
    figure.text(0.075, 0.955, title, fontsize=17, color=INK, weight="bold", va="center", parse_math=False)
    figure.text(0.075, 0.917, caption, fontsize=11.5, color=FAINT, va="center")
    for axis, side in zip(axes, sides, strict=False):
        _draw_spectrogram(axis, side, top_hz)
    _draw_pitch(axes[2], sides)
    for axis in axes:
        _calm(axis, sides[0].seconds)
    for axis in axes[:2]:
        axis.tick_params(labelbottom=False)
    axes[2].set_xlabel("time (s)", color=INK, fontsize=11)
    return figure


def _draw_spectrogram(axis: Axes, side: Side, top_hz: float) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    octaves = np.log2([LOWEST_HZ, top_hz])
    axis.imshow(
        side.spectrogram_db,
        origin="lower",
        aspect="auto",
        interpolation="bilinear",
        cmap=LinearSegmentedColormap.from_list("ink", side.shades),
        vmin=-DEPTH_DB,
        vmax=0,
        extent=(0, side.seconds, *octaves),
    )
    ticks = [hz for hz in FREQUENCY_TICKS if hz < top_hz]
    axis.set_yticks(np.log2(ticks), [FREQUENCY_TICKS[hz] for hz in ticks])
    axis.set_ylabel("frequency (Hz)", color=INK, fontsize=11)
    track = _line(side.pitch_hz)
    axis.plot(_frame_times(track), track, color=PAPER, linewidth=4.4, solid_capstyle="round")
    axis.plot(_frame_times(track), track, color=INK, linewidth=1.8, solid_capstyle="round")
    axis.set_ylim(*octaves)
    axis.text(
        0.01,
        0.93,
        side.label,
        transform=axis.transAxes,
        fontsize=13,
        weight="bold",
        color=side.colour,
        va="top",
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 3},
    )


def _draw_pitch(axis: Axes, sides: tuple[Side, Side]) -> None:
    voiced = np.concatenate([side.pitch_hz[side.pitch_hz > 0] for side in sides])
    low, high = np.percentile(voiced, (1, 99)) if len(voiced) else (80.0, 320.0)
    for side in sides:
        track = _line(side.pitch_hz)
        axis.plot(_frame_times(track), track, color=side.colour, linewidth=2, label=side.label)
    ticks = [hz for hz in PITCH_TICKS if low / 1.3 < hz < high * 1.3]
    axis.set_yticks(np.log2(ticks), [str(hz) for hz in ticks])
    axis.set_ylim(np.log2(low) - 0.3, np.log2(high) + 0.3)
    axis.set_ylabel("pitch (Hz)", color=INK, fontsize=11)
    axis.grid(axis="y", color="#e8ebef", linewidth=0.8)
    axis.legend(loc="upper right", ncols=2, frameon=False, fontsize=11, labelcolor=INK, borderaxespad=0.1)


def _calm(axis: Axes, seconds: float) -> None:
    axis.set_xlim(0, seconds)
    axis.tick_params(colors=INK, labelsize=10, length=3, color=FAINT)
    for edge in ("top", "right"):
        axis.spines[edge].set_visible(False)
    for edge in ("left", "bottom"):
        axis.spines[edge].set_color("#c6ccd4")


def _caption(sides: tuple[Side, Side], latency_ms: float | None) -> str:
    medians = [float(np.median(side.pitch_hz[side.pitch_hz > 0])) if side.pitch_hz.any() else 0.0 for side in sides]
    parts = []
    if all(medians):
        moved = 12 * np.log2(medians[1] / medians[0])
        parts.append(f"median pitch {medians[0]:.0f} → {medians[1]:.0f} Hz ({moved:+.1f} semitones)".replace("-", "−"))
    elif medians[0]:
        parts.append(f"median pitch {medians[0]:.0f} Hz → none")
    if latency_ms is not None:
        parts.append(f"latency {latency_ms:.1f} ms, taken out here")
    parts.append(f"black: pitch; pale to dark: {DEPTH_DB:.0f} dB")
    return "   ·   ".join(parts)


def _line(pitch_hz: np.ndarray) -> np.ndarray:
    """log2 of the pitch, NaN where the line is to be broken: unvoiced, a leap no voice makes within 10 ms, or a mistake
    of the tracker: a short run far from the pitch around it, as at an octave."""
    track = np.where(pitch_hz > 0, np.log2(np.maximum(pitch_hz, 1)), np.nan)
    track[1:][np.abs(np.diff(track)) > LEAP] = np.nan
    line, frames, short = track.copy(), round(AROUND_S * FRAMES_PER_SECOND), round(SHORT_S * FRAMES_PER_SECOND)
    for start, end in _runs(~np.isnan(track)):
        around = np.concatenate([track[max(0, start - frames) : start], track[end : end + frames]])
        around = around[~np.isnan(around)]
        if end - start < short <= len(around) and abs(np.median(track[start:end]) - np.median(around)) > STRANGE:
            line[start:end] = np.nan
    return line


def _runs(mask: np.ndarray) -> Iterator[tuple[int, int]]:
    """Start and end of every stretch where the mask is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _frame_times(track: np.ndarray) -> np.ndarray:
    return np.arange(len(track)) / FRAMES_PER_SECOND


def _powers(x: Samples, rate: int) -> np.ndarray:
    """Power spectra, [bins, columns], Hann window; frame m is centred on its column's time."""
    size = max(16, int(WINDOW_S * rate))
    hop = max(size // 8, -(-len(x) // COLUMNS))
    padded = np.pad(np.asarray(x, np.float32), (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(x) : hop]
    return (np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32), 4 * size, axis=1)) ** 2).T


def _bands_db(powers: np.ndarray, rate: int, loudest: float) -> np.ndarray:
    """[bins, columns] power → [BANDS, columns] dB below `loudest`, on an axis of octaves."""
    edges_hz = np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, rate / 2), BANDS + 1)
    bins = edges_hz / (rate / 2) * (len(powers) - 1)
    # the mean over a band is the difference of the running sum at its edges, however narrow the band is
    total = np.vstack([np.zeros((1, powers.shape[1])), np.cumsum(powers, axis=0, dtype=np.float64)])
    low = np.minimum(bins.astype(int), len(total) - 2)
    at_edges = total[low] + (bins - low)[:, None] * (total[low + 1] - total[low])
    means = np.diff(at_edges, axis=0) / np.diff(bins)[:, None]
    octaves_above = np.log2(np.maximum(edges_hz[1:], 200) / 200)
    return 10 * np.log10(np.maximum(means / loudest, 1e-12)) + TILT_DB * octaves_above[:, None]
