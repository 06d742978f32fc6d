"""Pitch-synchronous overlap-add, one grain at a time.

A grain is the sound around one place `at` of the input, read at speed `speed` (which moves the formants) and laid
around one place `out` of the output; the distance between the `out`s is the new pitch period. Between two grains lies
a cell, where the first fades out and the second fades in, so any output sample is the sum of two readings.

A grain reaches no further than one period of the voice to either side, or it would bring its neighbours' pulses along,
and no further than the next grain. It is chosen as late as possible, when its own fade-in begins: output `u` is made
`delay` samples after input `u` arrived, so what a grain reads need not be there yet when the grain is chosen, only in
time for each sample of it.

Where there is no pitch, or nothing to change, a grain is put where it is taken from. Neighbours then agree and the
input comes out to the bit; unless the formants move, where cells of uneven length keep the grains from buzzing and the
fades keep the power of sounds that do not agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rwc_daemon.dsp.history import History
from testkit.builtin.twin.interpolate import Interpolator
from testkit.builtin.twin.marks import Mark, Marks
from testkit.builtin.twin.overlap import Cell, Grain, overlap

CELL_MS = 2.5  # distance of grains where there is no pitch
NOISE_CELLS_MS = (2.5, 4.0)  # the same where formants move: between these
FIRST_CELL_MS = 1.0  # from the last grain without pitch to the first mark, at least
HIGHEST_HZ = 5000.0  # no grains more often than this, whatever is asked
STALE_MS = 40.0  # a mark this far from the place it is wanted for is no use


@dataclass(frozen=True)
class Shift:
    """What is wanted of the sound now."""

    pitch: float
    """Ratio of the pitch."""
    formant: float
    """Ratio of the spectral envelope."""

    @property
    def nothing(self) -> bool:
        return self.pitch == 1 and self.formant == 1


class Grains:
    """The order of events: at input sample `due`, call `choose`; then `render` what lies before `due - delay`."""

    def __init__(self, rate: int, delay: int, seed: int) -> None:
        self._delay = delay
        self._rng = np.random.default_rng(seed)
        self._cell = CELL_MS * rate / 1000
        self._noise_cells = NOISE_CELLS_MS[0] * rate / 1000, NOISE_CELLS_MS[1] * rate / 1000
        self._shortest = rate / HIGHEST_HZ
        self._first_cell = FIRST_CELL_MS * rate / 1000
        self._stale = STALE_MS * rate / 1000
        self._interpolator = Interpolator()
        start = Grain(float(-delay), float(-delay), 1.0, np.inf, 1.0, 0.0, 0)
        self._cells = [Cell(start, start.out + self._cell, start.out)]

    @property
    def due(self) -> int:
        """The input sample number at which the next grain must be chosen."""
        return int(np.ceil(self._cells[-1].begin)) + self._delay

    def choose(self, marks: Marks, shift: Shift) -> None:
        """Settle the grain that is due, and plan when the next one is."""
        cell = self._cells[-1]
        follows = not (cell.left.period or shift.nothing)
        onset = self._onset(cell, marks) if follows else None
        if onset is not None:
            cell.end = onset.at
        grain = self._grain(cell.end, None if shift.nothing else self._mark(cell.end, marks, shift), shift)
        cell.right = grain
        self._cells.append(self._next(grain, marks, shift))

    def _onset(self, cell: Cell, marks: Marks) -> Mark | None:
        """The mark on which a voiced stretch is entered: there, output and input are the same place."""
        begin = cell.left.out + self._first_cell
        mark = marks.between(begin, begin + self._stale)
        return mark if mark and mark.at < begin + 2 * mark.period else None

    def _mark(self, out: float, marks: Marks, shift: Shift) -> Mark | None:
        """The mark to be heard at `out`; None where the input has no pitch there."""
        newest = out + self._delay - self._interpolator.reach
        mark = marks.nearest(out, newest)
        if mark is None:
            return None
        # with moved formants an older one, that a whole grain around it may be read in time
        reach = min(mark.period / shift.formant, self._period(mark.period, shift))
        mark = marks.nearest(out, newest - reach * abs(shift.formant - 1))
        if mark is None or abs(mark.at - out) > self._stale:
            return None
        return mark if marks.alive or mark.at > out - 0.75 * mark.period else None

    @staticmethod
    def _period(period: float, shift: Shift) -> float:
        return period / shift.pitch

    def _grain(self, out: float, mark: Mark | None, shift: Shift) -> Grain:
        kernel = self._interpolator.kernel(shift.formant)
        if mark is None:
            return Grain(out, out, shift.formant, self._in_time(np.inf, out, out, shift), 1.0, 0.0, kernel)
        period = self._period(mark.period, shift)
        # pulses more often, or each of them shorter: the loudness stays
        gain = float(np.clip(np.sqrt(shift.formant * period / mark.period), 0.5, 1.6))
        reach = self._in_time(min(mark.period / shift.formant, period), out, mark.at, shift)
        return Grain(out, mark.at, shift.formant, reach, gain, mark.period, kernel)

    def _in_time(self, reach: float, out: float, at: float, shift: Shift) -> float:
        """`reach`, or less: read slower or faster, either end of the grain must have arrived when it is heard."""
        if shift.formant == 1:
            return reach
        return min(reach, (out + self._delay - self._interpolator.reach - at) / abs(shift.formant - 1))

    def _next(self, left: Grain, marks: Marks, shift: Shift) -> Cell:
        """Where the next grain will stand, and when it is chosen."""
        if left.period:
            step = left.period / shift.pitch
            step = max(marks.period_at(left.out + 0.5 * step) / shift.pitch, self._shortest)
        else:
            step = self._cell if shift.formant == 1 else self._rng.uniform(*self._noise_cells)
            step = float(np.rint(left.out + step)) - left.out  # whole samples: the grid of the input
        reach = min(left.period / shift.formant, step) if left.period else step
        return Cell(left, left.out + step, left.out + step - reach)

    def render(self, x: History, begin: int, stop: int) -> np.ndarray:
        """Output samples [begin, stop), f64; everything due by then must have been chosen."""
        while len(self._cells) > 1 and self._cells[0].end <= begin:
            del self._cells[0]
        return overlap(self._cells, x, self._interpolator, begin, stop)
