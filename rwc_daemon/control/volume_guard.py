"""Tells that another program turned RWC Mic down, and that it was put back: once, not at each of a browser's steps."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from rwc_daemon.audio.volume import VolumeHold
from rwc_daemon.control.faults import RECENT_S, Faults
from rwc_daemon.errors import TurnedDown

log = logging.getLogger(__name__)


class VolumeGuard:
    """`start` within the event loop; the hold acts in a thread of its own."""

    def __init__(self, hold: VolumeHold, faults: Faults, clock: Callable[[], float] = time.monotonic) -> None:
        self._hold, self._faults, self._clock = hold, faults, clock
        self._told_s: float | None = None
        self.put_back = 0
        # times

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def tell(percent: float) -> None:
            loop.call_soon_threadsafe(self._held, percent)

        self._hold.on_held = tell

    def _held(self, percent: float) -> None:
        self.put_back += 1
        told = f"another program set the volume of RWC Mic to {percent:.0f} %: it was put back to 100 %"
        if self._told_s is not None and self._clock() - self._told_s < RECENT_S:
            log.debug("%s", told)
            return
        self._told_s = self._clock()
        self._faults.happened(TurnedDown.__name__, f"{told}; 'rwcctl volume DB' changes it")
