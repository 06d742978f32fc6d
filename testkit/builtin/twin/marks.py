"""Pitch marks: one place in every period of a voiced sound, always the same place.

The first mark of a voiced stretch is put where the period is loudest, which is where the glottis closes. Each next one
stands where the sound around it looks most like the sound around the last: the normalised cross-correlation over one
period, refined between samples by a parabola. A slight liking for loud places draws the marks back to the closure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from rwc_daemon.dsp.history import History

AHEAD_MS = 1.0  # sound needed after a mark
SHORTEST_LOOK_MS = 2.5  # sound compared before a mark: one period, at least this
LOUD_MS = 1.2  # width of the window that measures loudness
SEARCH = 0.08  # a period differs from the one before by no more than this share
SAME = 0.12  # a tracker's period this near to the last mark's is only staler
LOUD_LIKING = 0.04
LOST_AT = 0.45  # correlation
KEEP_MS = 150
DRIFT_OVER_MS = 35.0
DRIFT_TRUST = 0.8  # jitter looks like drift: follow a part of it
MOST_DRIFT = 0.06  # of a period, in all


@dataclass(frozen=True)
class Mark:
    """A place in the input; fractions count."""

    at: float
    """Sample number."""
    period: float
    """Samples since the mark before."""
    drift: float = 0.0
    """Change of the period per sample."""


class Marks:
    """Call `step` after each step of the tracker."""

    def __init__(self, rate: int, cover: int) -> None:
        """`cover`: how many samples back from now the first mark of a stretch must be known."""
        self._ahead = round(AHEAD_MS * rate / 1000)
        self._look = round(SHORTEST_LOOK_MS * rate / 1000)
        self._keep = round(KEEP_MS * rate / 1000)
        self._drift_over = round(DRIFT_OVER_MS * rate / 1000)
        self._cover = cover
        n = round(LOUD_MS * rate / 1000) | 1
        self._loud = np.hanning(n + 2)[1:-1]
        self._known: deque[Mark] = deque()
        self.alive = False

    def step(self, x: History, now: int, period: float) -> None:
        """`period`: the tracker's, samples @host at sample `now`; 0 ends the stretch."""
        while self._known and self._known[0].at < now - self._keep:
            self._known.popleft()
        if not period:
            self.alive = False
            return
        if not self.alive:
            self._begin(x, now, period)
        while self.alive and self._advance(x, now, period):
            pass

    def nearest(self, to: float, limit: float) -> Mark | None:
        """The mark nearest to sample number `to`, none after `limit`."""
        return min((mark for mark in self._known if mark.at <= limit), key=lambda mark: abs(mark.at - to), default=None)

    def between(self, begin: float, stop: float) -> Mark | None:
        """The first mark in [begin, stop]."""
        return next((mark for mark in self._known if begin <= mark.at <= stop), None)

    def period_at(self, place: float) -> float:
        """The period around sample number `place`, also shortly after the last mark; there must be marks."""
        mark = min(self._known, key=lambda mark: abs(mark.at - 0.5 * mark.period - place))
        change = mark.drift * (place + 0.5 * mark.period - mark.at)
        return mark.period + float(np.clip(change, -MOST_DRIFT * mark.period, MOST_DRIFT * mark.period))

    def _drift(self, at: float, period: float) -> float:
        """How the period changes towards a new mark, seen over the last 35 ms."""
        base = next((mark for mark in self._known if at - mark.at < self._drift_over), None)
        if base is None or abs(period - base.period) > MOST_DRIFT * period:
            return 0.0
        return DRIFT_TRUST * (period - base.period) / (at - base.at)

    def _begin(self, x: History, now: int, period: float) -> None:
        stop = now - self._ahead
        loudness = self._loudness(x, stop - round(period), stop)
        anchor = Mark(float(stop - round(period) + int(loudness.argmax())), period)
        older = self._backwards(x, anchor, now - self._cover)
        after = self._known[-1].at + 0.5 * period if self._known else -np.inf
        self._known.extend(mark for mark in [*reversed(older), anchor] if mark.at > after)
        self.alive = bool(self._known)

    def _backwards(self, x: History, anchor: Mark, until: float) -> list[Mark]:
        found: list[Mark] = []
        here = anchor
        while here.at > until:
            at, likeness = self._match(x, here, anchor.period, -1)
            if likeness < LOST_AT:
                break
            here = Mark(at, here.at - at)
            found.append(here)
        return found

    def _advance(self, x: History, now: int, period: float) -> bool:
        """Put the next mark, if its sound is already there."""
        last = self._known[-1]
        expected = last.period if abs(last.period - period) < SAME * period else period
        if last.at + expected * (1 + SEARCH) + self._ahead + 2 > now:
            return False
        at, likeness = self._match(x, last, expected, 1)
        if likeness < LOST_AT:
            self.alive = False
            return False
        self._known.append(Mark(at, at - last.at, self._drift(at, at - last.at)))
        return True

    def _match(self, x: History, mark: Mark, period: float, direction: int) -> tuple[float, float]:
        """(where one period on looks most like `mark`, how much): the correlation there."""
        centre = round(mark.at)
        before = max(self._look, round(period))
        spread = min(max(3, round(SEARCH * period)), int(period / 4))
        first = centre + direction * round(period) - spread
        last = first + 2 * spread
        pattern = x.view(centre - before, centre + self._ahead)
        sound = x.view(first - before, last + self._ahead)
        sums = np.concatenate(([0.0], np.cumsum(sound * sound)))
        energies = (sums[len(pattern) :] - sums[: -len(pattern)]) * float(np.square(pattern).sum())
        likeness = np.correlate(sound, pattern) / np.sqrt(np.maximum(energies, 1e-30))
        loudness = self._loudness(x, first, last + 1)
        score = likeness + LOUD_LIKING * loudness / max(float(loudness.max()), 1e-30)
        best = int(score.argmax())
        return first + best + _between(score, best) + mark.at - centre, float(likeness[best])

    def _loudness(self, x: History, begin: int, stop: int) -> np.ndarray:
        """Power around each of the samples; f64[stop - begin]."""
        half = len(self._loud) // 2
        return np.convolve(np.square(x.view(begin - half, stop + half)), self._loud, "valid")


def _between(values: np.ndarray, best: int) -> float:
    """How far beside sample `best` the peak of the parabola through it and its neighbours lies."""
    if not 0 < best < len(values) - 1:
        return 0.0
    left, top, right = values[best - 1 : best + 2]
    bend = float(left - 2 * top + right)
    return 0.5 * float(left - right) / bend if bend < 0 else 0.0
