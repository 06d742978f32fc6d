"""Watches whether the session manager links the programs that record RWC Mic.

WirePlumber 0.4.13 that is restarted alone, beside streams that run, gets no answer from PipeWire 0.3.65 and links
nobody any more, with RWC or without.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rwc_daemon.audio.graph import Graph
from rwc_daemon.audio.unlinked import explain, unlinked_recorders
from rwc_daemon.control.faults import Faults
from rwc_daemon.errors import NoAudioServer

PLACE = "linking"
PATIENCE_S = 1.0  # a program that has just begun is linked within 0.1 s, on a busy machine within half a second


class Linking:
    """Call `look` at every change of the graph, and again soon while `unsettled`."""

    def __init__(self, faults: Faults, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults, self._clock = faults, clock
        self._since_s: dict[str, float] = {}
        # serial of a program that waits → since when
        self.trouble = ""
        # the fault's sentence while it stands

    @property
    def unsettled(self) -> bool:
        return bool(self._since_s) and not self.trouble

    def look(self, graph: Graph) -> None:
        now = self._clock()
        waiting = [node.serial for node in unlinked_recorders(graph)]
        self._since_s = {serial: self._since_s.get(serial, now) for serial in waiting}
        late = [serial for serial, since_s in self._since_s.items() if now - since_s >= PATIENCE_S]
        self.trouble = explain(graph, len(late)) if late else ""
        if late:
            self._faults.begin(PLACE, NoAudioServer.__name__, self.trouble)
        else:
            self._faults.end(PLACE)
