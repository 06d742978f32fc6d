"""Keeps streams that record RWC Mic, by whatever way, on it and on its standby.

The session manager looks first at what its metadata say of a stream. A mixer writes a node's number there, which means
nothing once that node has gone; then the stream falls to the default source, the unprocessed microphone. So whoever
records RWC Mic gets a target that outlives the node: its name, which the silent standby has, too. The metadata belong
to the session manager, so the claim holds while the daemon is away.

Where a user moves a program, WirePlumber remembers that for the program's next recording, by the number alone: a name
makes it forget. WirePlumber 0.4 takes an unknown number for a name, so there the number stays, and the standby bears
it as its path; 0.5 does not, but there another key can hold the number for the memory.

What the metadata say is not read: PipeWire 0.3.65 tells of a change only when it has something else to tell as well.
"""

from __future__ import annotations

import subprocess
import time
from functools import cache

from rwc_daemon.audio.graph import Graph, Node, run_quietly
from rwc_daemon.audio.remembered import belongs_here

AGAIN_S = 0.5  # so long after a claim that changed nothing
TRIES = 3  # claims of one recorder: on a busy machine a tool may end before its word is out
NAMED, BY_HAND, BY_DEFAULT, BY_CHANCE = "named", "by hand", "by default", "by chance"


class Claims:
    """Call `hold` at every look. Any thread, one at a time."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}
        # serial of each recorder → how it came
        self._claimed_s: dict[str, float] = {}
        # serial → monotonic seconds of its newest claim
        self._tries: dict[str, int] = {}

    def hold(self, graph: Graph) -> None:
        """Claims whoever has come. Who followed the default is not let go when its user chooses another one: it cannot
        be told for sure from one that was moved here by hand."""
        if not graph.default_source:
            return  # the defaults are not known yet, and so not who follows them
        streams = {stream.serial: stream for stream in recorders(graph)}
        self._held = {serial: how for serial, how in self._held.items() if serial in streams}
        self._claimed_s = {serial: when for serial, when in self._claimed_s.items() if graph_has(graph, serial)}
        self._tries = {serial: tries for serial, tries in self._tries.items() if serial in self._held}
        for serial, stream in streams.items():
            if self._held.get(serial) == BY_CHANCE and graph.configured_source == graph.names.node:
                del self._held[serial]  # its user chose RWC Mic after all: the two defaults are not told at once
            if serial not in self._held or self._unheard(graph, stream):
                self._held[serial] = self._held.get(serial) or way(graph, stream)
                self._tries[serial] = self._tries.get(serial, 0) + 1
                self._claimed_s[serial] = time.monotonic()
                self._claim(graph, stream, self._held[serial])

    def _unheard(self, graph: Graph, stream: Node) -> bool:
        """Whether its claim does not stand in the metadata, some time after it was said."""
        return (
            self._held[stream.serial] not in (NAMED, BY_CHANCE)
            and stream.id not in graph.targets
            and self._tries.get(stream.serial, 0) < TRIES
            and time.monotonic() - self._claimed_s.get(stream.serial, 0.0) > AGAIN_S
        )

    def strays(self, graph: Graph) -> list[Node]:
        """Whose user had put them on RWC Mic, and who were sent to a node that went while nobody could claim them."""
        return [
            stream
            for stream in graph.nodes.values()
            if stream.memory
            and not stream.target
            and not stream.meter
            and points_nowhere(graph, stream)
            and stream.serial not in self._held
            and belongs_here(stream.memory, graph.names.node)
        ]

    def back(self, graph: Graph, stream: Node) -> None:
        """For one that was torn off: to RWC Mic, or to the standby."""
        now = time.monotonic()
        if now - self._claimed_s.get(stream.serial, 0.0) > AGAIN_S:
            self._claimed_s[stream.serial] = now
            _write(stream, "target.object", graph.names.node)

    def numbered(self, graph: Graph) -> list[Node]:
        """Who is there by a number, which a new node must bear before the old one's standby goes."""
        return [s for s in recorders(graph) if numbers_are_names() and way(graph, s) == BY_HAND]

    def keep(self, graph: Graph) -> None:
        """Before a standby goes: WirePlumber 0.5 gives a program that comes back the standby's number, which would be
        nobody's then."""
        if numbers_are_names():
            return
        for stream in {reader for standby in graph.standbys for reader in graph.readers_of(standby)}:
            if not stream.meter and way(graph, stream) == BY_HAND:
                _name(stream, graph.microphone or graph.standbys[0])

    def renumber(self, streams: list[Node], node: Node) -> None:
        """Call it when RWC Mic and a standby bear that number."""
        for stream in streams:
            _write(stream, "target.object", node.serial)

    def _claim(self, graph: Graph, stream: Node, how: str) -> None:
        node = graph.microphone
        if how == BY_CHANCE:
            return
        if how != BY_HAND:
            _write(stream, "target.object", graph.names.node)
        elif node is None or stream not in graph.readers_of(node):
            self._held.pop(stream.serial)  # it waits in the standby
        elif numbers_are_names():
            _write(stream, "target.object", node.serial)
        else:
            _name(stream, node)


@cache
def numbers_are_names() -> bool:
    """Whether this session manager looks for a number that it does not know among names and paths."""
    try:
        done = subprocess.run(["wireplumber", "--version"], capture_output=True, text=True, timeout=2, check=False)
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return False
    return "libwireplumber 0.4." in done.stdout


def recorders(graph: Graph) -> list[Node]:
    """Returns the streams that hear RWC Mic or its standby now; a mixer's level meter does not count."""
    return [reader for node in nodes(graph) for reader in graph.readers_of(node) if not reader.meter]


def nodes(graph: Graph) -> list[Node]:
    """Returns RWC Mic, if it is there, then its standbys."""
    node = graph.microphone
    return [*([node] if node else []), *graph.standbys]


def graph_has(graph: Graph, serial: str) -> bool:
    return any(node.serial == serial for node in graph.nodes.values())


def points_nowhere(graph: Graph, stream: Node) -> bool:
    """Whether the session manager was told of a node by number, and there is none of that number."""
    key, value = graph.targets.get(stream.id, ("", ""))
    if not value.isdigit() or stream in recorders(graph):
        return False
    return not any(value == (node.serial if key == "target.object" else node.id) for node in graph.nodes.values())


def way(graph: Graph, stream: Node) -> str:
    """Says how a recorder has come to RWC Mic."""
    ours = {graph.names.node, *(node.serial for node in nodes(graph))}
    if stream.target in ours:
        return NAMED
    if stream.target and any(stream.target in (node.name, node.serial) for node in graph.nodes.values()):
        return BY_HAND  # its program has named another one
    if graph.configured_source == graph.names.node:
        return BY_DEFAULT
    # RWC Mic may be the default for a moment, where the only microphone was unplugged
    return BY_CHANCE if graph.default_source == graph.names.node else BY_HAND


def _name(stream: Node, node: Node) -> None:
    """A target that outlives the number, and a memory of it (WirePlumber 0.5)."""
    _write(stream, "target.object", node.name)
    for number in ("-1", node.id):  # it hears of a change only
        _write(stream, "target.node", number, "Spa:Id")


def _write(stream: Node, key: str, value: str, kind: str = "Spa:String") -> None:
    run_quietly("pw-metadata", "--", stream.id, key, value, kind)  # a value may begin like an option
