"""Decides how many threads the nets run on: no more than there are cores that other programs leave free.

Threads of a net wait for each other many times a block. Where one of them must wait for a core, they all do: on two
cores with two other programs busy, blocks of 110 ms on one thread took 300 ms to 5 s on two.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from rwc_daemon.thresholds import THRESHOLDS, Thresholds

IDLE = (3, 4)  # fields of /proc/stat: idle, and idle but for the disk


class ThreadBudget:
    """The number of threads, `threads`, for whoever runs nets."""

    def __init__(self, most: int, cores: int, others: Callable[[], float], thresholds: Thresholds = THRESHOLDS) -> None:
        """`cores`: that this process may use; `others`: how many of them other programs used since the last call."""
        self.most, self._cores, self._others, self._thresholds = most, cores, others, thresholds
        self.threads = most
        self._free_s = 0.0  # for so long there was room for more threads
        self._crowded = 0  # looks in a row with room for fewer

    @classmethod
    def of_this_machine(cls) -> ThreadBudget:
        cores = len(os.sched_getaffinity(0))
        wanted = os.environ.get("OMP_NUM_THREADS", "")
        return cls(int(wanted) if wanted.isdecimal() and int(wanted) else cores, cores, OtherLoad())

    def update(self, elapsed_s: float, overloaded: bool, single_thread_load: float) -> bool:
        """Returns True where `threads` changed. `overloaded`: blocks take nearly as long as they last;
        `single_thread_load`: compute time on one thread / block duration."""
        limits = self._thresholds
        room = max(1, min(self.most, int(self._cores - self._others() + limits.spare_cores)))
        self._crowded = self._crowded + 1 if room < self.threads else 0
        needed = overloaded or single_thread_load <= limits.single_thread_load
        if self._crowded >= limits.crowded_looks and needed:
            self.threads, self._free_s = room, 0.0
            return True
        self._free_s = self._free_s + elapsed_s if room > self.threads else 0.0
        if self._free_s < limits.threads_recovery_s:
            return False
        self.threads, self._free_s = room, 0.0
        return True


class OtherLoad:
    """Cores that other programs use, from /proc/stat; 0 where the kernel does not tell."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, stat: Path = Path("/proc/stat")) -> None:
        self._clock, self._stat = clock, stat
        self._cores = {f"cpu{n}" for n in os.sched_getaffinity(0)}
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._before = self._now()

    def __call__(self) -> float:
        before, self._before = self._before, self._now()
        elapsed_s, busy_s = (now - then for now, then in zip(self._before, before, strict=True))
        return max(0.0, busy_s / elapsed_s) if elapsed_s > 0 else 0.0

    def _now(self) -> tuple[float, float]:
        """The time, and seconds of all cores spent on others ever."""
        try:
            lines = [line.split() for line in self._stat.read_text().splitlines()]
        except OSError:
            lines = []
        # guest time is in user time already
        ticks = [[int(field) for field in line[1:9]] for line in lines if line and line[0] in self._cores]
        busy = sum(count for core in ticks for field, count in enumerate(core) if field not in IDLE)
        return self._clock(), busy * self._tick_s - time.process_time()
