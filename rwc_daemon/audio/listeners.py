"""Who records RWC Mic: counts them, and brings them back to a node that was made again.

A recorder whose source vanishes is moved to the bare hardware microphone by the session manager, and stays there. So
recorders are remembered, and moved to the new RWC Mic as soon as it is there; after a second without it they are muted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pulsectl

from rwc_daemon.audio import holder
from rwc_daemon.audio.graph import Graph, GraphWatch, Node, run_quietly
from rwc_daemon.audio.pulse import visit
from rwc_daemon.audio.volume import VolumeHold

MUTE_AFTER_S = 1.0
RECENT_S = 2.5  # more than two looks apart
FORGET_AFTER_S = 60.0


def ignore_count(count: int) -> None:
    """The `on_change` of listeners that nobody watches."""
    del count


class Listeners:
    """Feed it with `look` at every change of the graph and each second; it calls `on_change(count)`."""

    def __init__(
        self, watch: GraphWatch, client_name: str = "rwc", ports_only: bool = False, mute_lost: bool = True
    ) -> None:
        """`ports_only`: plain JACK2, where a connection to our output port is the listener. `mute_lost`: recorders
        whose RWC Mic does not come back within a second are muted."""
        self._watch, self._client_name, self.ports_only = watch, client_name, ports_only
        self.on_change: Callable[[int], None] = ignore_count
        self.count = 0
        self.volume = VolumeHold()
        self._rescue = Rescue(mute_lost)
        self._pinned: set[str] = set()
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
        node = graph.node(holder.NODE)
        readers = [n for n in graph.readers_of(node) if not n.meter] if node else []
        self._pin([reader for reader in readers if reader.target == holder.NODE])
        self._rescue.step(graph, node.serial if node else "", {n.serial for n in readers})
        return len(readers)

    def _pin(self, readers: list[Node]) -> None:
        """Who asked for RWC Mic keeps it: where it was the default for a moment (the only microphone unplugged), the
        session manager would let its recorders follow the default from then on, to the bare microphone."""
        _send_to_us([reader for reader in readers if reader.serial not in self._pinned])
        self._pinned = {reader.serial for reader in readers}


class Rescue:
    """Remembers the recorders of one node, by their serials, which PulseAudio uses as indexes."""

    def __init__(self, mute_lost: bool = True) -> None:
        self._mute_lost = mute_lost
        self._node = ""
        self._recorders: dict[str, float] = {}
        # serial → monotonic seconds when it was last seen linked
        self._lost: dict[str, float] = {}
        # serial → monotonic seconds when its node went
        self._muted: set[str] = set()

    def step(self, graph: Graph, node: str, recorders: set[str]) -> None:
        """`node`: the serial of RWC Mic, empty while it is not there; `recorders`: who is linked to it."""
        now = time.monotonic()
        if node != self._node:
            # links go a moment before their node; who left earlier left on purpose
            self._lost |= {s: now for s, seen in self._recorders.items() if now - seen < RECENT_S}
            self._node, self._recorders = node, {}
        alive = {n.serial for n in graph.nodes.values()}
        self._lost = {s: t for s, t in self._lost.items() if s in alive and now - t < FORGET_AFTER_S}
        for serial in recorders & set(self._lost):
            self._lost.pop(serial)
        self._unmute(recorders & self._muted)
        if node and self._lost:
            _send_to_us([n for n in graph.nodes.values() if n.serial in self._lost])
        elif not node and self._mute_lost:
            self._mute([s for s, since in self._lost.items() if now - since > MUTE_AFTER_S])
        self._recorders |= dict.fromkeys(recorders, now)
        self._recorders = {s: seen for s, seen in self._recorders.items() if s in alive}

    def _mute(self, serials: list[str]) -> None:
        fresh = [serial for serial in serials if serial not in self._muted]
        for serial in fresh:
            _on_recorder(serial, lambda pulse, index: pulse.source_output_mute(index, True))
            self._muted.add(serial)

    def _unmute(self, serials: set[str]) -> None:
        for serial in serials:
            _on_recorder(serial, lambda pulse, index: pulse.source_output_mute(index, False))
            self._muted.discard(serial)


def _send_to_us(nodes: list[Node]) -> None:
    """By name, not by PulseAudio's index, so that the recorder has a name to go to when this node goes too."""
    for node in nodes:
        run_quietly("pw-metadata", node.id, "target.object", holder.NODE, "Spa:String")


def _on_recorder(serial: str, action: Callable[[pulsectl.Pulse, int], object]) -> None:
    """A recorder that has ended meanwhile, or forbids to be moved, stays as it is."""
    try:
        with visit("rwc-listeners") as pulse:
            action(pulse, int(serial))
    except (pulsectl.PulseError, ValueError):
        return
