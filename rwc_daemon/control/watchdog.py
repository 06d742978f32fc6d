"""The core's slow clock: its work about once a second, then a sign of life for systemd.

It also notices when this process stood still. The monotonic clock stops while the machine sleeps and the boot clock
does not, which tells sleep from a process that was stopped or got no processor (clock_gettime(2)).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from rwc_daemon.control.faults import Faults
from rwc_daemon.host.notify import Notifier

log = logging.getLogger(__name__)

LIVE_S = 1.0
IDLE_S = 2.0
STILL_S = 3.0  # later than this is no mere delay


class Watched(Protocol):
    """What the watchdog serves."""

    @property
    def pause_s(self) -> float:
        """Seconds to the next tick."""

    @property
    def glance_s(self) -> float:
        """Between two glances; at least `pause_s` where none is needed."""

    def glance(self) -> None: ...

    async def tick(self, elapsed_s: float) -> None: ...

    def trouble(self) -> str: ...

    def line(self) -> str: ...


class Watchdog:
    """`run` ends only with an error of the owner's work."""

    def __init__(self, owner: Watched, notifier: Notifier, faults: Faults) -> None:
        self._owner, self._notifier, self._faults = owner, notifier, faults

    async def run(self) -> None:
        last = time.monotonic()
        while True:
            pause, pause_s = Pause(), self._owner.pause_s
            await self._wait(time.monotonic() + pause_s)
            if stood := pause.overslept(pause_s):
                self._faults.happened("Interrupted", stood)
            now = time.monotonic()
            await self._owner.tick(now - last)
            last = now
            self._give_sign()

    async def _wait(self, end_s: float) -> None:
        """Until then, with a glance now and again."""
        while (left_s := end_s - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, self._owner.glance_s))
            self._owner.glance()

    def _give_sign(self) -> None:
        trouble = self._owner.trouble()
        if trouble:
            log.error("no sign of life is given to systemd: %s", trouble)
            return
        self._notifier.alive()
        self._notifier.status(self._owner.line())


def boot_clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Pause:
    """Begins when it is made."""

    def __init__(
        self, running: Callable[[], float] = time.monotonic, passing: Callable[[], float] = boot_clock
    ) -> None:
        """`running` stands still while the machine sleeps, `passing` does not; s."""
        self._running, self._passing = running, passing
        self._ran_s, self._passed_s = running(), passing()

    def overslept(self, wanted_s: float) -> str:
        """What to tell where far more time went by than was wanted, else nothing."""
        ran_s, passed_s = self._running() - self._ran_s, self._passing() - self._passed_s
        goes_on = "RWC Mic was silent meanwhile and goes on by itself"
        if passed_s - ran_s > STILL_S:
            return f"this machine slept for {passed_s - ran_s:.0f} s: {goes_on}"
        if ran_s - wanted_s > STILL_S:
            why = "it was stopped, or this machine had no time for it"
            return f"rwc-daemon stood still for {ran_s - wanted_s:.0f} s ({why}): {goes_on}"
        return ""
