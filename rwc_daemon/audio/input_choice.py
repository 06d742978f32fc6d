"""Decides which microphone feeds us, and why it is not the chosen one. Routing, status and doctor all ask here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rwc_daemon.audio.graph import Graph, Node
from rwc_daemon.audio.names import MicrophoneNames, is_a_microphone

DEFAULT = "default"
MONITOR = ".monitor"  # PulseAudio's name for what a sink plays
CLIENT = "client.id "  # begins what the nodes of one program share (`Node.kin`)
NO_MICROPHONE = "no microphone is connected: plug one in, or choose a source with 'rwcctl input NAME'"


@dataclass(frozen=True)
class InputChoice:
    """The microphone that feeds us, or would if somebody recorded."""

    node: Node | None
    """None is silence."""
    note: str = ""
    """Why it is not the chosen one, in a sentence; empty: it is."""
    fault: bool = False
    """The note is about something wrong, not only good to know."""

    @property
    def name(self) -> str:
        """node.name; empty: silence."""
        return self.node.name if self.node else ""


def is_ours(graph: Graph, node: Node, client_name: str) -> bool:
    """Whether it is this microphone's own; another one of ours may feed it, if the user says so."""
    return node.name in (graph.names.node, graph.names.feed, client_name)


def find_input(graph: Graph, choice: str, client_name: str) -> Node | None:
    """Returns the node that feeds us; None means silence."""
    return decide_input(graph, choice, client_name).node


def decide_input(
    graph: Graph, choice: str, client_name: str, kept: str = "", circular: Collection[str] = ()
) -> InputChoice:
    """Takes the chosen microphone while it is there, else the default source, else the best real microphone.

    Never ourselves, nor a virtual source that hears RWC Mic; a monitor only by name. `kept`: the node.name that feeds
    us now, which stays while the session manager is away and no default is known. `circular`: serials of virtual
    sources that have heard RWC Mic before (see `CircleWatch`).
    """
    chosen = named_input(graph, choice, client_name) if choice != DEFAULT else None
    if chosen and not _in_circle(graph, chosen, client_name):
        return InputChoice(chosen)
    found = _follow_default(graph, client_name, kept, circular)
    if choice == DEFAULT:
        return found
    if chosen:
        why = f"the chosen source '{choice}' hears RWC Mic: give it another input, or choose another microphone"
    else:
        why = f"the chosen microphone '{choice}' is not there"
    if found.node is None:
        return InputChoice(None, f"{why}; RWC Mic is silent" if chosen else f"{why}, and {NO_MICROPHONE}", fault=True)
    until = "" if chosen else " until it returns"
    return InputChoice(found.node, f"{why}: using '{found.name}'{until}", fault=True)


def _follow_default(graph: Graph, client_name: str, kept: str, circular: Collection[str]) -> InputChoice:
    usable = [n for n in graph.nodes.values() if n.is_source and not is_a_microphone(n.name) and _has_outputs(graph, n)]
    usable = [node for node in usable if node.name != client_name]
    default = next((node for node in usable if node.name == graph.default_source), None)
    circle = False
    if default and default.virtual:
        circle = default.serial in circular or hears_us(graph, default, client_name, programs=True)
    if default and not circle:
        return InputChoice(default)
    now = next((node for node in usable if node.name == kept), None)
    if now and not graph.default_source:
        return InputChoice(now)
    best = max((node for node in usable if not node.virtual), key=lambda node: node.priority, default=None)
    using = f"using '{best.name}' instead" if best else "RWC Mic is silent"
    name = graph.default_source
    if circle:
        cure = f"choose a microphone as the input of '{name}', or another default source"
        return InputChoice(best, f"the default source '{name}' hears RWC Mic itself: {using}; {cure}", fault=True)
    if best is None:
        return InputChoice(None, NO_MICROPHONE, fault=True)
    if is_a_microphone(name):
        return InputChoice(best, f"the default source is {MicrophoneNames().description} itself: {using}")
    if name:
        return InputChoice(best, f"the default source '{name}' is no microphone: {using}")
    return InputChoice(best, f"the session has no default source: {using}")


def named_input(graph: Graph, name: str, client_name: str) -> Node | None:
    """Finds a node by node.name, by PulseAudio's name of a sink's monitor, or by its description."""
    nodes = [n for n in graph.nodes.values() if not is_ours(graph, n, client_name) and _has_outputs(graph, n)]
    for matches in (
        lambda n: n.name == name and not n.media_class.startswith("Stream/"),
        lambda n: n.name + MONITOR == name and n.media_class == "Audio/Sink",
        lambda n: n.description.casefold() == name.casefold() and n.is_source,
    ):
        found = next(filter(matches, nodes), None)
        if found:
            return found
    return None


def _in_circle(graph: Graph, node: Node, client_name: str) -> bool:
    """Whether a node that was chosen by name hears RWC Mic. Hardware hears nobody, and a JACK client (`rwcctl latency`
    is one) was made for what it does."""
    return bool(node.media_class) and (node.virtual or not node.is_source) and hears_us(graph, node, client_name)


def hears_us(graph: Graph, node: Node, client_name: str, programs: bool = False) -> bool:
    """Whether RWC Mic, or our client, is among what a node hears now. `programs`: also what a program that feeds it
    records, though nobody sees whether that is what it plays."""
    return any(is_ours(graph, found, client_name) for found in heard_by(graph, node, programs))


def heard_by(graph: Graph, node: Node, programs: bool = False) -> list[Node]:
    """All nodes upstream of a node: by links, and through the other ends of filters and loopbacks (`Node.kin`). What
    is ours is not looked through."""
    ports = graph.ports
    feeds: dict[str, set[str]] = {}
    for link in graph.links.values():
        if link.source in ports and link.sink in ports:
            feeds.setdefault(ports[link.sink].node, set()).add(ports[link.source].node)
    todo, seen = [node.id], {node.id}
    while todo:
        at = graph.nodes.get(todo.pop())
        if at is None or at.name in (graph.names.node, graph.names.feed):
            continue
        near = feeds.get(at.id, set()) | {n.id for n in graph.nodes.values() if _same(at, n, programs)}
        todo += near - seen
        seen |= near
    return [graph.nodes[key] for key in seen - {node.id} if key in graph.nodes]


def _same(one: Node, other: Node, programs: bool) -> bool:
    shared = one.kin & other.kin
    return any(programs or not key.startswith(CLIENT) for key in shared)


def _has_outputs(graph: Graph, node: Node) -> bool:
    return bool(graph.ports_of(node, output=True))


class CircleWatch:
    """Remembers which virtual sources have heard RWC Mic. A filter on demand is linked only while somebody records it:
    without a memory we would leave it, see it unlinked, come back, and so on for ever."""

    def __init__(self) -> None:
        self.circular: frozenset[str] = frozenset()
        # their serials

    def look(self, graph: Graph, client_name: str) -> None:
        """A source is forgiven when it is made again, or is seen to hear somebody else."""
        sources = [n for n in graph.nodes.values() if n.is_source and n.virtual and not is_ours(graph, n, client_name)]
        known = set()
        for node in sources:
            heard = heard_by(graph, node, programs=True)
            others = any(found.is_source and not is_ours(graph, found, client_name) for found in heard)
            ours = any(is_ours(graph, found, client_name) for found in heard)
            if ours or (node.serial in self.circular and not others):
                known.add(node.serial)
        self.circular = frozenset(known)
