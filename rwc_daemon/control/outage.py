"""The audio server's absence: noticed by its identity, and told in the words that fit its length."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rwc_daemon.control.faults import Faults
from rwc_daemon.errors import NoAudioServer, RwcError

PLACE = "audio"
PATIENCE_S = 3.0
GONE = "the audio server stopped serving: RWC Mic is silent and will be back by itself"


class Outage:
    """`server`: its identity in the graph, empty where there is none or it has none (JACK2)."""

    def __init__(self, faults: Faults, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults, self._clock = faults, clock
        self._server = ""
        self._since_s: float | None = -math.inf  # before the first server: for ever

    def swept_away(self, server: str) -> bool:
        """Whether the server of the last look has gone: what was open on it will not live again on another one."""
        before, self._server = self._server, server
        return bool(before) and server != before

    def begin(self) -> None:
        self._faults.begin(PLACE, NoAudioServer.__name__, GONE)

    def goes_on(self, failed: RwcError) -> None:
        """A server that went a moment ago is probably being restarted: what to start is said where it stays away."""
        if self._since_s is None:
            self._since_s = self._clock()
        if not self._server and self._clock() - self._since_s < PATIENCE_S:
            self.begin()
        else:
            self._faults.begin_with(PLACE, failed)

    def ends(self, proven: bool) -> None:
        """The server answers; `proven`: and it has served for a while."""
        self._since_s = None
        if proven:
            self._faults.end(PLACE)
