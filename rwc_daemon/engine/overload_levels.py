"""The deadline controller: what is done with less when a machine cannot keep up, and when it is undone.

A voice has a ladder of steps, the first one as the user asked, each later one cheaper: less context (quality), then a
lighter tracker, then longer blocks. Blocks that take nearly as long as they last lead down to the first step that may
be expected to fit; room for a while leads up, if what the steps above were seen to cost fits. A step up that had to be
taken back makes the next one wait twice as long, so nothing flaps. The ladder has an end: latency is bounded, and what
is late beyond it is dropped, as ever.
"""

from __future__ import annotations

import math

FULL = 0.92  # of a block's length, in all but single blocks: beyond it nothing is caught up with any more
EASE = 0.7  # what a step down aims at where voice was lost: one that just fits would lose more of it
ROOM = 0.85  # what a step up may be expected to reach
PRESSED_S = 2.5  # so long in a row, or it was a hiccup
LOST, LOST_S = 1.3, 1.5  # what takes longer than it lasts is heard already
CALM_S = 10.0
UNREST = 3.0  # seconds of calm that a second without room undoes; a hiccup does not bar the way up for ever
LONGEST_CALM_S = 640.0
TAKEN_BACK_S = 60.0  # a step up that lasted shorter was a mistake
SETTLE_S = 1.0  # the change itself costs time, which says nothing
UNKNOWN_RATIO = 1.3  # how much more the step above costs, where it was never seen
# how much more it is believed to cost at most: it was warmed beside a playing voice, perhaps in a busy moment, and a
# step up that was a mistake is taken back
DEAREST_RATIO = 1.6


class LevelControl:
    """For one ladder; levels count from 0, as asked. Times are the caller's."""

    def __init__(self, levels: int, level: int = 0) -> None:
        self._levels = levels
        self.level = level
        self._cost: dict[int, float] = {}
        self._age_s = self._pressed_s = self._calm_s = 0.0
        self._patience_s = CALM_S
        self._rose = False

    def note(self, level: int, cost: float) -> None:
        """CPU time over audio time at a level, as it was warmed. What a level takes while it plays is not
        compared: on a busy day the same work takes up to twice the time, and the way back up would be barred."""
        self._cost[level] = cost

    def close(self, level: int) -> None:
        """That level cannot be had."""
        self._cost[level] = math.inf

    def settle(self) -> None:
        """Something else was changed: what was seen until now says nothing."""
        self._age_s = self._pressed_s = self._calm_s = 0.0

    def look(self, elapsed_s: float, fullness: float, late: bool) -> int:
        """Which level is right now. `fullness`: slow blocks over their length, as the clock saw it; `late`: something
        was dropped."""
        self._age_s += elapsed_s
        if self._age_s <= SETTLE_S:
            return self.level
        if self._rose and self._age_s > TAKEN_BACK_S:
            self._rose, self._patience_s = False, CALM_S
        lost, pressed = late or fullness >= LOST, late or fullness >= FULL
        self._pressed_s = self._pressed_s + elapsed_s if pressed else 0.0
        above = self._level_above(fullness)
        step_s = elapsed_s if above < self.level else -UNREST * elapsed_s
        self._calm_s = 0.0 if late else max(0.0, self._calm_s + step_s)
        if self._pressed_s >= (LOST_S if lost else PRESSED_S):
            return self._level_below(fullness, EASE if lost else FULL)
        return above if self._calm_s >= self._patience_s else self.level

    def at(self, level: int) -> None:
        """It runs at this level from now on."""
        if level > self.level and self._rose:
            self._patience_s = min(2 * self._patience_s, LONGEST_CALM_S)
        self._rose = level < self.level
        self.level = level
        self.settle()

    def _level_below(self, fullness: float, wanted: float) -> int:
        """The first cheaper one that may be expected to fit, or the cheapest."""
        cheapest = self.level
        for level in range(self.level + 1, self._levels):
            if self._ratio(level) < self._ratio(cheapest):
                cheapest = level
                if fullness * self._ratio(level) <= wanted:
                    break
        return cheapest

    def _level_above(self, fullness: float) -> int:
        """The highest that may be expected to fit; one that was never seen only from the one below it."""
        open_above = [level for level in range(self.level) if self._cost.get(level) != math.inf]
        for level in open_above:
            known = level in self._cost or level == open_above[-1]
            if known and fullness * max(1.0, self._ratio(level)) <= ROOM:
                return level
        return self.level

    def _ratio(self, level: int) -> float:
        """What a level costs over what this one does."""
        now, then = self._cost.get(self.level), self._cost.get(level)
        if then == math.inf:
            return then
        if not (now and then):
            return UNKNOWN_RATIO ** (self.level - level)
        return min(then / now, max(1.0, DEAREST_RATIO ** (self.level - level)))
