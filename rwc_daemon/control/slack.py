"""How much converted voice is kept ready: one quantum beyond what computing and its jitter have shown to need.

Too little is heard as gaps, too much is latency. It grows at once when voice ran out, at most to the double, or by
5 ms. It shrinks by a quarter of what is too much after half a minute without trouble, at a quiet moment, because each
change is a dip of 10 ms. What is too much the last three minutes say: bursts of a busy machine are further apart than
half a minute, and every one that had been forgotten was heard.
"""

from __future__ import annotations

import math
from collections import deque

CALM_S = 30.0
REMEMBERED = 6  # times CALM_S
WARM_S = 2.0  # the first blocks of a stream are slow, and say nothing about the later ones
LEAST_GROWTH_MS = 5.0  # with a quantum of 16 samples doubling alone would take half a dozen gaps
LEAST_STEP_MS = 2.5  # with such a quantum one more is nothing; this is about one of the usual 128
STARVED_MS = 40.0  # what more does not help: then computing takes longer than speaking, and only room for it cures
LONGEST_MS = 500.0


class SlackControl:
    """For one voice in one graph; times are the caller's."""

    def __init__(self, rate: int, quantum: int, start: int, least: int, most: int) -> None:
        """All in samples @host. `start` and `least` are rounded up to quanta, and at least one."""
        self._rate, self._quantum = rate, quantum
        self._most = max(quantum, min(most, round(LONGEST_MS * rate / 1000)) // quantum * quantum)
        self._least = self._bounded(least)
        self.samples = max(self._least, self._bounded(start))
        self._calm_s = self._age_s = self._period_s = 0.0
        self._worst_ms: deque[float] = deque([0.0], REMEMBERED)
        # of each CALM_S, the newest last
        self.since_growth_s: float | None = None
        # since it grew last because voice ran out; None: it did not

    def above(self, start: int) -> int:
        """Samples @host beyond those of a calm machine, which begins at `start`."""
        return self.samples - max(self._least, self._bounded(start))

    def forget(self, start: int) -> bool:
        """Back to `start`, as if the machine had always been calm; True when `samples` changed."""
        before = self.samples
        self.samples = max(self._least, self._bounded(start))
        self._worst_ms = deque([0.0], REMEMBERED)
        self._calm_s = self._period_s = 0.0
        self.since_growth_s = None
        return self.samples != before

    def look(self, elapsed_s: float, underruns: int, compute_max_ms: float, quiet: bool) -> bool:
        """What happened since the last look (`underruns`: new ones); True when `samples` changed."""
        cold = self._age_s < WARM_S  # when that began
        self._calm_s += elapsed_s
        self._age_s += elapsed_s
        if self.since_growth_s is not None:
            self.since_growth_s += elapsed_s
        if cold:
            return False
        self._remember(elapsed_s, compute_max_ms)
        if underruns:
            return self._raise()
        if self._calm_s < CALM_S or not quiet or len(self._worst_ms) < REMEMBERED:
            return False
        wanted = self._wanted()
        self._calm_s = 0.0
        if wanted >= self.samples:
            return False
        quarter = (self.samples - wanted) // 4 // self._quantum * self._quantum
        self.samples = max(self._least, self.samples - max(self._quantum, quarter))
        return True

    def starve(self) -> bool:
        """Voice does not come in time at all, however little each block takes; True when `samples` changed."""
        self._calm_s = self.since_growth_s = 0.0
        most = round(STARVED_MS * self._rate / 1000)
        return self._grow_to(max(self.samples, min(most, self.samples + self._growth())))

    def _remember(self, elapsed_s: float, compute_max_ms: float) -> None:
        self._period_s += elapsed_s
        if self._period_s > CALM_S:
            self._period_s = 0.0
            self._worst_ms.append(0.0)
        self._worst_ms[-1] = max(self._worst_ms[-1], compute_max_ms)

    def _raise(self) -> bool:
        self._calm_s = self.since_growth_s = 0.0
        step = max(self._quantum, round(LEAST_STEP_MS * self._rate / 1000))
        return self._grow_to(max(self.samples + step, min(self._wanted(), self.samples + self._growth())))

    def _growth(self) -> int:
        return max(self.samples, round(LEAST_GROWTH_MS * self._rate / 1000))

    def _grow_to(self, samples: int) -> bool:
        before, self.samples = self.samples, self._bounded(samples)
        return self.samples != before

    def _wanted(self) -> int:
        return max(self._least, self._bounded(round(max(self._worst_ms) * self._rate / 1000) + self._quantum))

    def _bounded(self, samples: int) -> int:
        quanta = max(1, math.ceil(samples / self._quantum))
        return min(self._most, quanta * self._quantum)
