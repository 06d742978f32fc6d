"""Counts who records RWC Mic, and brings them back when its node was made again.

The session manager keeps them there by their claims (`claims`), or sends them to the silent standby. Whoever it moved
to another microphone all the same is sent back, and muted where that has not helped within a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pulsectl

from rwc_daemon.audio.claims import Claims, recorders
from rwc_daemon.audio.graph import Graph, GraphWatch, Node
from rwc_daemon.audio.pulse import visit
from rwc_daemon.audio.volume import VolumeHold

MUTE_AFTER_S = 1.0
FORGET_AFTER_S = 60.0


def ignore_names(names: list[str]) -> None:
    """The `on_return` of listeners that nobody watches."""
    del names


def ignore_count(count: int) -> None:
    """The `on_change` of listeners that nobody watches."""
    del count


class Listeners:
    """Calls `on_change(count)`. Call `look` at every change of the graph and once a second."""

    def __init__(
        self, watch: GraphWatch, client_name: str = "rwc", ports_only: bool = False, mute_lost: bool = True
    ) -> None:
        """`ports_only`: plain JACK2, where a connection to our output port is the listener. `mute_lost`: recorders
        whose RWC Mic does not come back within a second are muted."""
        self._watch, self._client_name, self.ports_only = watch, client_name, ports_only
        self.on_change: Callable[[int], None] = ignore_count
        self.on_return: Callable[[list[str]], None] = ignore_names
        # called with programs that recorded another microphone and are sent back to RWC Mic
        self.count = 0
        self.volume = VolumeHold()
        self._claims = Claims()
        self._rescue = Rescue(self._claims, mute_lost)
        self._lock = threading.Lock()

    def look(self) -> int:
        """Blocks for some 10 ms only where a recorder must be moved. Any thread."""
        with self._lock:
            graph = self._watch.graph()
            self.volume.look(graph)
            count = self._connections(graph) if self.ports_only else self._recorders(graph)
            changed, self.count = count != self.count, count
        if changed:
            self.on_change(count)
        return count

    def _connections(self, graph: Graph) -> int:
        client = graph.node(self._client_name)
        return len(graph.readers_of(client)) if client else 0

    def _recorders(self, graph: Graph) -> int:
        node = graph.microphone
        readers = [n for n in graph.readers_of(node) if not n.meter] if node else []
        self._claims.hold(graph)
        strays = self._claims.strays(graph)
        new = self._rescue.find({stray.serial for stray in strays})
        self._rescue.step(graph, node.serial if node else "", {n.serial for n in recorders(graph)})
        if new:
            self.on_return(sorted({stray.name for stray in strays if stray.serial in new}))
        return len(readers)


class Rescue:
    """Remembers the recorders of one node, by their serials, which PulseAudio uses as indexes. What the session manager
    did not keep with RWC Mic or its standby is sent there, and muted where that does not help."""

    def __init__(self, claims: Claims, mute_lost: bool = True) -> None:
        self._claims, self._mute_lost = claims, mute_lost
        self._node = ""
        self._recorders: set[str] = set()
        self._lost: dict[str, float] = {}
        # serial → monotonic seconds when its node went
        self._muted: set[str] = set()

    def find(self, strays: set[str]) -> set[str]:
        """More that belong to RWC Mic, though nobody has seen them there. Answers with those that are new."""
        new = strays - set(self._lost)
        self._lost |= dict.fromkeys(new, time.monotonic())
        return new

    def step(self, graph: Graph, node: str, held: set[str]) -> None:
        """`node`: the serial of RWC Mic, empty while it is not there; `held`: who is linked to it or to the standby."""
        now = time.monotonic()
        streams = {n.serial: n for n in graph.nodes.values()}
        if node != self._node:
            self._lost |= dict.fromkeys(self._recorders, now)
            self._node, self._recorders = node, set()
        self._lost = {
            s: t for s, t in self._lost.items() if s in streams and s not in held and now - t < FORGET_AFTER_S
        }
        for serial in self._lost:
            self._claims.back(graph, streams[serial])
        if self._mute_lost:
            self._mute({s for s, since in self._lost.items() if now - since > MUTE_AFTER_S})
        self._unmute(held & self._muted)
        # links go a moment before their node, but who is linked elsewhere while the node is there was moved on purpose
        self._recorders = held | {s for s in self._recorders & set(streams) if not _hears(graph, streams[s])}
        self._muted &= set(streams)

    def _mute(self, serials: set[str]) -> None:
        for serial in serials - self._muted:
            _on_recorder(serial, lambda pulse, index: pulse.source_output_mute(index, True))
            self._muted.add(serial)

    def _unmute(self, serials: set[str]) -> None:
        for serial in serials:
            _on_recorder(serial, lambda pulse, index: pulse.source_output_mute(index, False))
            self._muted.discard(serial)


def _hears(graph: Graph, stream: Node) -> bool:
    return any(graph.links_into(port) for port in graph.ports_of(stream, output=False))


def _on_recorder(serial: str, action: Callable[[pulsectl.Pulse, int], object]) -> None:
    """Acts on one recorder; one that has ended, or forbids to be moved, stays as it is."""
    try:
        with visit("rwc-listeners") as pulse:
            action(pulse, int(serial))
    except (pulsectl.PulseError, ValueError):
        return
