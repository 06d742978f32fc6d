"""Whether RWC Mic passes on what it is fed, or stands still while its recorders wait.

The loopback that holds RWC Mic has a stall in PipeWire before 0.3.72 (docs/notes/masking.md): its feed takes every
cycle, the node that is recorded is never triggered again, and nothing anywhere is an error. The witness costs nothing:
the process that holds the node wakes its recorders with at least one write(2) a cycle, and the kernel counts those.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rwc_daemon.audio.client import AudioClient
from rwc_daemon.audio.graph import GraphWatch, Node
from rwc_daemon.audio.server_dump import RUNNING, pid_of_node, server_objects, states_of

STANDS_S = 0.9  # looks half a second apart: found after one second, or one and a half
LEAST_CYCLES = 5  # in that time: the longest cycles last 190 ms
SHARE = 0.1  # of the cycles: fewer writes than that are none
LONGEST_PAUSE_S = 4.0


@dataclass(frozen=True)
class Sample:
    at_s: float
    cycles: int
    """Of our client."""
    writes: int
    """Of the process that holds RWC Mic."""


class OutputWatch:
    """Call `stands_still` twice a second while somebody records."""

    def __init__(self, watch: GraphWatch, client: AudioClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._watch, self._client, self._clock = watch, client, clock
        self._samples: deque[Sample] = deque()
        self._serial = ""  # of the node that is watched
        self._pid = 0  # of the process that holds it; 0: not known
        self._not_before_s = self._pause_s = 0.0

    def stands_still(self) -> bool:
        """True once for each second in which cycles ran, a recorder waited and nothing came out. Blocks for some 10 ms
        only on suspicion, and where the node is another one than at the look before."""
        graph = self._watch.graph()
        node = graph.microphone
        readers = graph.readers_of(node) if node else []
        if node is None or not readers or graph.feed is None or not self._client.is_open:
            self._samples.clear()
            return False
        if node.serial != self._serial:
            self._begin(node)
        return self._judge(node, readers)

    def _begin(self, node: Node) -> None:
        self._serial, self._pid, self._pause_s = node.serial, pid_of_node(server_objects(), node.id), 0.0
        self._samples.clear()

    def _judge(self, node: Node, readers: list[Node]) -> bool:
        writes, now = writes_of(self._pid), self._clock()
        if writes is None or now < self._not_before_s:
            self._samples.clear()
            return False
        self._samples.append(Sample(now, self._client.cycles, writes))
        while len(self._samples) > 1 and now - self._samples[1].at_s >= STANDS_S:
            self._samples.popleft()
        first, last = self._samples[0], self._samples[-1]
        cycles = last.cycles - first.cycles
        if last.at_s - first.at_s < STANDS_S or cycles < LEAST_CYCLES:
            return False
        if last.writes - first.writes >= SHARE * cycles:
            self._pause_s = 0.0
            return False
        self._samples.clear()
        return self._is_awaited(node, readers, now)

    def _is_awaited(self, node: Node, readers: list[Node], now: float) -> bool:
        """A recorder that has paused itself hears nothing either, and that is right."""
        states = states_of(server_objects())
        if states.get(node.id) == RUNNING and any(states.get(reader.id) == RUNNING for reader in readers):
            self._pause_s = 0.0
            return True
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s or 1.0)
        self._not_before_s = now + self._pause_s
        return False


def writes_of(pid: int) -> int | None:
    """How often a process has called write(2) so far (proc(5)); None where the kernel does not tell."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("syscw:")), None)
