"""Decides how much converted voice is kept ready: one cycle beyond what computing and its jitter have shown to need.

Too little is heard as gaps, too much is latency. Slack grows at once when voice ran out. It shrinks after a while
without underruns, at a quiet moment, down to what the last three minutes needed: bursts of a busy machine are further
apart than half a minute, and every burst that had been forgotten was heard.

During an overload (compute time takes nearly as long as speaking) slack does not help: it does not grow, and what had
grown just before is given back soon after the overload. The engine lowers the level instead (engine/overload.py). All
limits stand in `rwc_daemon/thresholds.py`.
"""

from __future__ import annotations

import math
from collections import deque

from rwc_daemon.thresholds import THRESHOLDS, Thresholds


class SlackControl:
    """The slack of one voice in one graph. The caller tells the time."""

    def __init__(
        self, rate: int, quantum: int, start: int, least: int, most: int, thresholds: Thresholds = THRESHOLDS
    ) -> None:
        """All in samples @host. `start` and `least` are rounded up to quanta, and at least one."""
        self._rate, self._quantum, self._thresholds = rate, quantum, thresholds
        self._most = max(quantum, min(most, self._samples(thresholds.longest_slack_ms)) // quantum * quantum)
        self._least = self._bounded(least)
        self.samples = max(self._least, self._bounded(start))
        self._age_s = self._period_s = 0.0
        self._stable_s = 0.0  # since the last underrun or step down
        self._since_overload_s = math.inf
        self._overload_growth = 0  # the part of `samples` that grew because of an overload
        # of the last `overload_nearby_s`, because an overload may be seen only afterwards; the first figure is the age
        self._recent_growth: deque[tuple[float, int]] = deque()  # samples
        self._recent_worst: deque[tuple[float, float]] = deque()  # ms
        self._worst_ms: deque[float] = deque([0.0], thresholds.slack_memory)
        # the slowest block of each period, the newest last
        self.since_growth_s: float | None = None
        """Time since slack grew last because voice ran out; None: it did not."""

    @property
    def lasting(self) -> int:
        """Samples without the part that grew because of an overload."""
        return max(self._least, self.samples - self._overload_growth)

    def inherit(self, before: SlackControl) -> None:
        """A stream with blocks of the same size goes on with the slack of the one before: an overload is remembered."""
        self._since_overload_s = before._since_overload_s
        self._overload_growth = min(before._overload_growth, self.samples - self._least)

    def above(self, start: int) -> int:
        """Samples beyond those of a calm machine, which begins at `start`."""
        return self.samples - max(self._least, self._bounded(start))

    def forget(self, start: int) -> bool:
        """Goes back to `start`, as if the machine had always been calm. Returns True when `samples` changed."""
        before = self.samples
        self.samples = max(self._least, self._bounded(start))
        self._worst_ms = deque([0.0], self._thresholds.slack_memory)
        self._stable_s = self._period_s = 0.0
        self._overload_growth = 0
        self._recent_growth.clear()
        self._recent_worst.clear()
        self.since_growth_s = None
        return self.samples != before

    def look(
        self, elapsed_s: float, underruns: int, compute_max_ms: float, quiet: bool, overloaded: bool = False
    ) -> bool:
        """Takes what happened since the last look. `underruns`: new ones; `overloaded`: slack does not help. Returns
        True when `samples` changed."""
        limits = self._thresholds
        cold = self._age_s < limits.cold_s  # when that began
        self._stable_s = 0.0 if underruns else self._stable_s + elapsed_s
        self._age_s += elapsed_s
        if self.since_growth_s is not None:
            self.since_growth_s += elapsed_s
        self._note_overload(elapsed_s, overloaded)
        if cold:
            return underruns >= limits.cold_underruns and self._raise(self.samples + self._growth())
        if not overloaded:
            self._remember(elapsed_s, compute_max_ms)
        if underruns:
            return self._raise(self._needed())
        return quiet and (self._end_overload() or self._shrink())

    def starve(self) -> bool:
        """No voice comes in time at all, however little each block takes. Returns True when `samples` changed."""
        self._stable_s = 0.0
        most = self._samples(self._thresholds.starved_slack_ms)
        return self._grow_to(max(self.samples, min(most, self.samples + self._growth())))

    @property
    def _overload_nearby(self) -> bool:
        return self._since_overload_s < self._thresholds.overload_nearby_s

    def _note_overload(self, elapsed_s: float, overloaded: bool) -> None:
        self._since_overload_s = 0.0 if overloaded else self._since_overload_s + elapsed_s
        recent_s = self._age_s - self._thresholds.overload_nearby_s
        while self._recent_growth and self._recent_growth[0][0] < recent_s:
            self._recent_growth.popleft()
        while self._recent_worst and self._recent_worst[0][0] < recent_s:
            self._worst_ms[-1] = max(self._worst_ms[-1], self._recent_worst.popleft()[1])
        if overloaded:
            self._overload_growth += sum(samples for _, samples in self._recent_growth)
            self._recent_growth.clear()
            self._recent_worst.clear()

    def _raise(self, samples: int) -> bool:
        """Grows, except during an overload."""
        if self._overload_nearby:
            return False
        return self._grow_to(samples)

    def _grow_to(self, samples: int) -> bool:
        self.since_growth_s = 0.0
        before, self.samples = self.samples, self._bounded(samples)
        if self._overload_nearby:
            self._overload_growth += self.samples - before
        else:
            self._recent_growth.append((self._age_s, self.samples - before))
        return self.samples != before

    def _end_overload(self) -> bool:
        """Gives back what grew because of an overload, once that is over."""
        recovery_s = self._thresholds.overload_recovery_s
        if not self._overload_growth or min(self._stable_s, self._since_overload_s) < recovery_s:
            return False
        before, self.samples = self.samples, self.lasting
        self._overload_growth = 0
        return self.samples != before

    def _shrink(self) -> bool:
        limits = self._thresholds
        if self._stable_s < limits.slack_recovery_s or len(self._worst_ms) < limits.slack_memory:
            return False
        wanted = self._wanted()
        self._stable_s = 0.0
        if wanted >= self.samples:
            return False
        quarter = (self.samples - wanted) // 4 // self._quantum * self._quantum
        self.samples = max(self._least, self.samples - max(self._quantum, quarter))
        return True

    def _remember(self, elapsed_s: float, compute_max_ms: float) -> None:
        self._period_s += elapsed_s
        if self._period_s > self._thresholds.slack_recovery_s:
            self._period_s = 0.0
            self._worst_ms.append(0.0)
        self._recent_worst.append((self._age_s, compute_max_ms))

    def _needed(self) -> int:
        """Samples after an underrun."""
        step = max(self._quantum, self._samples(self._thresholds.least_step_ms))
        return max(self.samples + step, min(self._wanted(), self.samples + self._growth()))

    def _growth(self) -> int:
        return max(self.samples, self._samples(self._thresholds.least_growth_ms))

    def _wanted(self) -> int:
        worst_ms = max([*self._worst_ms, *(ms for _, ms in self._recent_worst)])
        return max(self._least, self._bounded(self._samples(worst_ms) + self._quantum))

    def _bounded(self, samples: int) -> int:
        quanta = max(1, math.ceil(samples / self._quantum))
        return min(self._most, quanta * self._quantum)

    def _samples(self, ms: float) -> int:
        return round(ms * self._rate / 1000)
