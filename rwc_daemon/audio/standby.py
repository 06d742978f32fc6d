"""What a recorder falls back to when RWC Mic's node goes: silence, not the unprocessed microphone.

The session manager moves a recorder whose node has gone to another node of the same name, if there is one, and else to
the default source. So there is one: a silent node in the server itself (`holder.standby`). Of two nodes with one name
it takes the first in its list, so the standby is made again whenever RWC Mic is; that also sends the recorders back.
It outlives the daemon: what stops after us (the holder, at logout or by hand) would unmask whoever still records.

WirePlumber 0.4 takes an unknown number for a name or a path, and a standby has room for one. A recorder that a mixer
moved is on the node's serial; one that begins while no daemon runs, and whose user had moved its program to RWC Mic
before, is on the node's id. So there are two standbys there.
"""

from __future__ import annotations

import logging
import time

from rwc_daemon.audio import holder
from rwc_daemon.audio.claims import Claims, numbers_are_names, recorders
from rwc_daemon.audio.graph import Graph, GraphWatch, Node, run_quietly

SERVED_S = 0.1  # from a node's ports until the session manager sends recorders there: some ms, more where it is busy
SEEN_S, POLL_S = 0.5, 0.01  # at most, until a new standby is in the graph
PATIENCE = 5  # so often recorders are sent back in a row before this is given up: silence must not last
log = logging.getLogger(__name__)


class Standby:
    """One silent node, or one for each number, younger than RWC Mic."""

    def __init__(self, watch: GraphWatch) -> None:
        self._watch = watch
        self._claims = Claims()
        self._sent_back = 0

    def ensure(self) -> None:
        """Call it at every change of the graph while RWC Mic should be there. Blocks for some 10 ms where it acts."""
        graph = self._watch.graph()
        node, standbys = graph.microphone, graph.standbys
        if node is None or self._sent_back > PATIENCE:
            return  # recorders wait in the standby, if there is one
        held = any(graph.readers_of(standby) for standby in standbys)
        served = sorted(standby.path for standby in standbys) == sorted(numbers(graph, node))
        if served and all(_younger(standby, node) for standby in standbys) and not held:
            self._sent_back = 0
            return
        self._sent_back += held
        if held:
            time.sleep(SERVED_S)
            self._renumber(node)
        # before the last one is made: its place in the session manager's list goes to the list's last
        graph = self._watch.graph()
        _destroy(graph)
        if self._sent_back > PATIENCE:
            log.warning("the session manager prefers the silent standby of RWC Mic: it is removed")
        else:
            self._create(graph, numbers(graph, node))

    def _renumber(self, node: Node) -> None:
        """Of who was moved here by hand: to the new node, or to a standby that bears its number."""
        graph = self._watch.graph()
        self._claims.keep(graph)
        if streams := self._claims.numbered(graph):
            self._create(graph, numbers(graph, node))
            self._claims.renumber(streams, node)

    def prepare(self) -> list[Node]:
        """Before RWC Mic goes for good: whoever records it goes to silence. Says who that is."""
        graph = self._watch.graph()
        node = graph.microphone
        if node:
            paths = {standby.path for standby in graph.standbys}
            self._create(graph, [number for number in numbers(graph, node) if number not in paths])
        self._claims.hold(graph)
        return recorders(graph)

    def _create(self, graph: Graph, wanted: list[str]) -> None:
        """One for each number. Returns when they are in the graph: the next look must not take them for missing."""
        before = {standby.serial for standby in graph.standbys}
        for number in wanted:
            run_quietly("pw-cli", "create-node", "adapter", holder.standby(graph.names, number))
        end = time.monotonic() + SEEN_S
        while time.monotonic() < end:
            if len({standby.serial for standby in self._watch.graph().standbys} - before) >= len(wanted):
                return
            time.sleep(POLL_S)

    def remove(self) -> None:
        """Where nobody needs it."""
        _destroy(self._watch.graph())


def numbers(graph: Graph, node: Node) -> list[str]:
    """By which recorders may have been sent to that node. Its id only where no program was sent by that number to
    another node, whose serial it is: it would come here instead."""
    elsewhere = {value for key, value in graph.targets.values() if key == "target.object"}
    wanted = [node.serial, *([node.id] if numbers_are_names() and node.id not in elsewhere else [])]
    return list(dict.fromkeys(wanted))


def _younger(standby: Node, node: Node) -> bool:
    return standby.serial.isdigit() and node.serial.isdigit() and int(standby.serial) > int(node.serial)


def _destroy(graph: Graph) -> None:
    for standby in graph.standbys:
        run_quietly("pw-cli", "destroy", standby.id)
