"""Finds programs that record RWC Mic and that the session manager has not linked."""

from __future__ import annotations

from rwc_daemon.audio.graph import Graph, Node
from rwc_daemon.audio.programs import MANAGER

CURE = "run 'rwcctl doctor --fix', and start the recording again where it stays silent"


def unlinked_recorders(graph: Graph) -> list[Node]:
    """Those that asked for RWC Mic, by name or as the default, and wait while it is there. A program that has just
    begun is one of them for some milliseconds."""
    node = graph.microphone
    if node is None or not graph.ports_of(node, output=True):
        return []
    ours = {node.name, node.serial, node.id}
    if graph.default_source == node.name:
        ours.add("")
    linked = {graph.ports[link.sink].node for link in graph.links.values() if link.sink in graph.ports}
    return [
        n
        for n in graph.nodes.values()
        if n.media_class == "Stream/Input/Audio"
        and n.target in ours
        and n.autoconnect
        and not n.meter
        and n.id not in linked
    ]


def explain(graph: Graph, count: int) -> str:
    """Says in a sentence what so many waiting programs mean, and the cure."""
    who = "a program that records RWC Mic hears" if count == 1 else f"{count} programs that record RWC Mic hear"
    if not graph.identity(MANAGER):
        return f"no session manager (WirePlumber) runs, so {who} nothing: {CURE}"
    return f"the session manager (WirePlumber) links nobody, so {who} nothing: {CURE}"
