"""Finds a microphone that hears and plays nothing, because converted voice never comes in time. The user is told within
a second, and slack is added until voice comes. All limits stand in `rwc_daemon/thresholds.py`."""

from __future__ import annotations

from collections.abc import Callable

from rwc_daemon.control.faults import Faults
from rwc_daemon.link.ring import Counters, SharedRings
from rwc_daemon.thresholds import THRESHOLDS

PLACE = "starving"
LIMITS = THRESHOLDS


class StarvationWatch:
    """Looks at the callback's counters, a few times a second while somebody listens. Times are those of the samples
    that were played."""

    def __init__(self, link: SharedRings, faults: Faults, more: Callable[[], None]) -> None:
        """`more` adds slack."""
        self._link, self._faults, self._more = link, faults, more
        self._before: Counters | None = None
        # None: no voice was to be heard at the last look
        self._read = 0
        # microphone samples that the engine had read by then
        self._silent_s = self._heard_s = 0.0
        self._more_at_s = LIMITS.silent_growth_s

    def look(self, converting: bool, latency_s: float = 0.0) -> None:
        """`converting`: a voice should be heard, `latency_s` after it was spoken."""
        if not converting:
            self._before = None
            self._faults.end(PLACE)
            return
        before, self._before = self._before, self._link.counters()
        read_before, self._read = self._read, self._link.position()
        if before is None:
            self._silent_s, self._heard_s = -LIMITS.silent_start_s - latency_s, 0.0
            self._more_at_s = LIMITS.silent_growth_s
            return
        now = self._before
        played = (now.cycles - before.cycles) * now.quantum
        if not played or not now.rate:
            return
        silent = (now.silence_samples - before.silence_samples) / played
        self._judge(silent, played / now.rate, latency_s, reads=self._read - read_before > played / 2)

    def _judge(self, silent: float, passed_s: float, latency_s: float, reads: bool) -> None:
        """`silent`: which share of the last `passed_s`; `reads`: the engine takes what the microphone gives."""
        if silent > LIMITS.silent_share:
            self._silent_s, self._heard_s = self._silent_s + passed_s, 0.0
        elif silent < LIMITS.heard_share:
            self._heard_s += passed_s
            if self._heard_s >= LIMITS.heard_s:
                self._silent_s, self._more_at_s = 0.0, LIMITS.silent_growth_s
                self._faults.end(PLACE)
        beyond_s = self._silent_s - latency_s
        if beyond_s >= LIMITS.silent_fault_s and not self._faults.stands(PLACE):
            self._faults.begin(PLACE, "Overloaded", self._sentence())
        # an engine that stands still is not helped by slack
        if beyond_s >= self._more_at_s and silent > LIMITS.silent_share and reads:
            self._more_at_s = beyond_s + LIMITS.silent_growth_s
            self._more()

    def _sentence(self) -> str:
        quantum = self._link.counters().quantum
        cure = "close busy programs, or choose a lighter voice"
        if quantum < LIMITS.short_quantum:
            cure = f"close busy programs, or give the graph more than {quantum} samples a cycle (clock.force-quantum)"
        return f"converted voice does not come in time and RWC Mic is silent, more slack is being tried: {cure}"
