"""When RWC Mic was there: its node with its ports, as a mixer or a call program sees it."""

from __future__ import annotations

import math
import time

from rwc_daemon.audio.graph import PipeWireGraph
from rwc_daemon.audio.holder import NODE


class Presence:
    """Follows the graph from its making on, through server restarts too."""

    def __init__(self) -> None:
        self._turns: list[tuple[float, bool]] = []
        # monotonic seconds, there or not
        self._graph = PipeWireGraph()
        self._graph.on_change = self._look
        self._graph.start()

    def _look(self) -> None:
        graph = self._graph.graph()
        there = bool(graph.ports_of(graph.node(NODE), output=True))
        if not self._turns or self._turns[-1][1] != there:
            self._turns.append((time.monotonic(), there))

    def back_ms(self, since: float) -> float:
        """From `since` (monotonic) until it was there again for good; not a number where it never went."""
        turns = [turn for turn in self._turns if turn[0] >= since]
        if all(there for _, there in turns):
            return math.nan
        return 1000 * (turns[-1][0] - since) if turns[-1][1] else math.inf

    def stop(self) -> None:
        self._graph.stop()
