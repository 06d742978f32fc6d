"""What the streams of one engine share, beside the voices in memory: turns to render, and the loaders' operations.

A stream that is alone in its engine has all of it to itself.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol

from rwc_daemon.engine.op_queue import OpQueue
from rwc_daemon.engine.turns import Turns
from rwc_daemon.voices.base import Voice

LIGHT_TURNS = 1  # blocks of voices without nets at once, since they are Python: docs/measurements/streams.md


class Neighbour(Protocol):
    """One stream, for the others."""

    @property
    def plays(self) -> bool:
        """Somebody listens."""

    @property
    def runs_nets(self) -> bool:
        """What it plays is costly: operations of the loaders are done by its thread."""

    def uses(self, voice: Voice) -> bool: ...

    def wake(self) -> None:
        """Has its thread look for operations."""


class Neighbours:
    """Any thread may ask."""

    def __init__(self) -> None:
        self._light_turns, self._nets_turns = Turns(LIGHT_TURNS), Turns(len(os.sched_getaffinity(0)))
        self.op_queue = OpQueue(self._wake, lambda: self.nets > 0)
        self._lock = threading.Lock()
        self._streams: tuple[Neighbour, ...] = ()

    def join(self, stream: Neighbour) -> None:
        with self._lock:
            self._streams = (*self._streams, stream)

    def leave(self, stream: Neighbour) -> None:
        with self._lock:
            self._streams = tuple(other for other in self._streams if other is not stream)

    def turns(self, nets: bool) -> Turns:
        """Of the streams that run nets, or of the others: a net's block lasts longer than a light one may wait."""
        return self._nets_turns if nets else self._light_turns

    @property
    def nets(self) -> int:
        """Streams that play a costly voice."""
        return sum(stream.runs_nets for stream in self._streams)

    def use(self, voice: Voice) -> bool:
        """Whether any of them plays it, or is about to."""
        return any(stream.uses(voice) for stream in self._streams)

    @property
    def quiet(self) -> bool:
        """Nobody listens to any stream: a good moment for what is slow."""
        return not any(stream.plays for stream in self._streams)

    def _wake(self) -> None:
        with self._lock:  # a stream that has left has no memory any more
            for stream in self._streams:
                if stream.runs_nets:
                    stream.wake()
