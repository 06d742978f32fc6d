"""What a recorder falls back to when RWC Mic's node dies: silence, not the bare microphone.

The session manager moves a recorder whose node has gone to another node of the same name, if there is one, and else to
the default source. So there is one: a silent node in the server itself (`holder.STANDBY`). Of two nodes with one name
it takes the first in its list, so the standby is made anew whenever RWC Mic is; that also sends the recorders back.
"""

from __future__ import annotations

import logging

from rwc_daemon.audio import holder
from rwc_daemon.audio.graph import Graph, GraphWatch, Node, run_quietly

PATIENCE = 5  # so often recorders are sent back in a row before this is given up: silence must not last
log = logging.getLogger(__name__)


class Standby:
    """One silent node, younger than RWC Mic."""

    def __init__(self, watch: GraphWatch) -> None:
        self._watch = watch
        self._sent_back = 0

    def ensure(self) -> None:
        """Call it at every change of the graph while RWC Mic should be there. Blocks for some 10 ms where it acts."""
        graph = self._watch.graph()
        node, standbys = graph.node(holder.NODE), graph.standbys
        if node is None or self._sent_back > PATIENCE:
            return  # recorders wait in the standby, if there is one
        held = any(graph.readers_of(standby) for standby in standbys)
        if len(standbys) == 1 and _younger(standbys[0], node) and not held:
            self._sent_back = 0
            return
        self._sent_back += held
        _destroy(graph)  # before another is made: its place in the session manager's list goes to the list's last
        if self._sent_back > PATIENCE:
            log.warning("the session manager prefers the silent standby of RWC Mic: it is removed")
        else:
            run_quietly("pw-cli", "create-node", "adapter", holder.STANDBY)

    def stop(self) -> None:
        _destroy(self._watch.graph())


def _younger(standby: Node, node: Node) -> bool:
    return standby.serial.isdigit() and node.serial.isdigit() and int(standby.serial) > int(node.serial)


def _destroy(graph: Graph) -> None:
    for standby in graph.standbys:
        run_quietly("pw-cli", "destroy", standby.id)
