"""How much converted voice is kept ready: one quantum beyond what computing and its jitter have shown to need.

Too little is heard as gaps, too much is latency. It grows at once when voice ran out, at most to the double. It shrinks
by a quarter of what is too much after half a minute without trouble, at a quiet moment, because each change is a dip
of 10 ms.
"""

from __future__ import annotations

import math

CALM_S = 30.0
WARM_S = 2.0  # the first blocks of a stream are slow, and say nothing about the later ones
LONGEST_MS = 500.0


class Slack:
    """For one voice in one graph; times are the caller's."""

    def __init__(self, rate: int, quantum: int, start: int, least: int, most: int) -> None:
        """All in samples @host. `start` and `least` are rounded up to quanta, and at least one."""
        self._rate, self._quantum = rate, quantum
        self._most = max(quantum, min(most, round(LONGEST_MS * rate / 1000)) // quantum * quantum)
        self._least = self._bounded(least)
        self.samples = max(self._least, self._bounded(start))
        self._calm_s = 0.0
        self._age_s = 0.0
        self._worst_ms = 0.0

    def look(self, elapsed_s: float, underruns: int, compute_max_ms: float, quiet: bool) -> bool:
        """What happened since the last look (`underruns`: new ones); True when `samples` changed."""
        cold = self._age_s < WARM_S  # when that began
        self._calm_s += elapsed_s
        self._age_s += elapsed_s
        if cold:
            return False
        self._worst_ms = max(self._worst_ms, compute_max_ms)
        if underruns:
            return self._raise()
        if self._calm_s < CALM_S or not quiet:
            return False
        wanted = self._wanted()
        self._calm_s, self._worst_ms = 0.0, 0.0
        if wanted >= self.samples:
            return False
        quarter = (self.samples - wanted) // 4 // self._quantum * self._quantum
        self.samples = max(self._least, self.samples - max(self._quantum, quarter))
        return True

    def _raise(self) -> bool:
        before = self.samples
        doubled = max(self.samples + self._quantum, min(self._wanted(), 2 * self.samples))
        self.samples = self._bounded(doubled)
        self._calm_s = 0.0
        return self.samples != before

    def _wanted(self) -> int:
        return max(self._least, self._bounded(round(self._worst_ms * self._rate / 1000) + self._quantum))

    def _bounded(self, samples: int) -> int:
        quanta = max(1, math.ceil(samples / self._quantum))
        return min(self._most, quanta * self._quantum)
