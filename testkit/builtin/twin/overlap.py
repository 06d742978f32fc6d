"""Grains laid over one another: the sound of the cells between them.

In a cell the left grain fades out and the right one fades in. Related grains fade with the square of a cosine, so that
a sum of equals is the same again; unrelated ones with the cosine itself, which keeps the power of their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rwc_daemon.dsp.history import History
from testkit.builtin.twin.interpolate import Interpolator


@dataclass(frozen=True)
class Grain:
    out: float
    """Sample number of its middle in the output."""
    at: float
    """Sample number of its middle in the input."""
    speed: float
    """Input samples per output sample."""
    reach: float
    """Output samples to either side, at most; the neighbours may leave less room."""
    gain: float
    period: float
    """Of the voice there, input samples; 0: no pitch."""
    kernel: int
    """For the interpolator."""

    @property
    def plain(self) -> bool:
        """The input as it is."""
        return not self.period and self.speed == 1 and self.at == self.out and self.reach == np.inf


@dataclass
class Cell:
    """Output from one grain to the next; `right` is None until that one is chosen."""

    left: Grain
    end: float
    """Output sample number of the next grain."""
    begin: float
    """Where in the output that grain begins to be heard, and is chosen."""
    right: Grain | None = None

    @property
    def plain(self) -> bool:
        """Both grains are the input as it is, and so is their sum."""
        return self.left.plain and self.right is not None and self.right.plain

    @property
    def power(self) -> float:
        """Of the cosine with which both grains fade; known before the right one is."""
        return 2.0 if self.left.period or self.left.speed == 1 else 1.0


# one grain as it fades on one side: out, at, speed, reach, gain, power, kernel
OverlapRow = tuple[float, float, float, float, float, float, float]


def overlap(cells: Sequence[Cell], x: History, interpolator: Interpolator, begin: int, stop: int) -> np.ndarray:
    """Output samples [begin, stop), f64, which the cells must cover."""
    if all(cell.plain for cell in cells if cell.left.out < stop and cell.end > begin):
        return x.view(begin, stop)
    edges = [begin, *(min(max(int(np.ceil(cell.end)), begin), stop) for cell in cells)]
    rows: list[OverlapRow] = []
    spans: list[tuple[int, int]] = []
    for cell, first, last in zip(cells, edges, edges[1:], strict=False):
        for row in _rows(cell):
            # beyond its reach a grain is silent, and what it would read there may not have arrived
            out, reach = row[0], row[3]
            rows.append(row)
            spans.append((max(first, int(np.ceil(out - reach))), min(last, int(np.floor(out + reach)) + 1)))
    return _sum(rows, spans, x, interpolator, begin, stop)


def _rows(cell: Cell) -> list[OverlapRow]:
    """The grains heard in a cell."""
    left, right = cell.left, cell.right
    length = cell.end - left.out
    if cell.plain:
        return [(left.out, left.at, 1.0, length, 1.0, 0.0, 0)]
    rows = [_row(left, length, cell.power)]
    if right is not None:
        rows.append(_row(right, cell.end - cell.begin, cell.power))
    return rows


def _row(grain: Grain, room: float, power: float) -> OverlapRow:
    return grain.out, grain.at, grain.speed, max(min(grain.reach, room), 1e-9), grain.gain, power, grain.kernel


def _sum(
    rows: list[OverlapRow], spans: list[tuple[int, int]], x: History, interpolator: Interpolator, begin: int, stop: int
) -> np.ndarray:
    """All rows over their spans of output, read at once and added."""
    counts = np.array([max(0, last - first) for first, last in spans])
    if not counts.any():
        return np.zeros(stop - begin)
    out, at, speed, reach, gain, power, kernel = np.repeat(np.array(rows), counts, axis=0).T
    u = np.concatenate([np.arange(first, last) for first, last in spans])
    away = u - out
    fade = gain * np.cos(0.5 * np.pi * np.minimum(np.abs(away) / reach, 1)) ** power
    sound = interpolator.read(x, at + away * speed, kernel.astype(np.int64)) * fade
    # no output sample has more than two rows, so the order of the sum does not matter
    return np.bincount(u - begin, sound, stop - begin)
