"""Describes the audio graph as plain data: nodes, ports, links and the default source.

`PipeWireGraph` follows PipeWire's registry through one `pw-dump --monitor`, which is silent while nothing changes; the
defaults come from `metadata`. Of a node, port or link that changed, pw-dump prints the whole (it merges what the server
sends, in 0.3.65 as in 1.6).
`JackGraph` asks JACK2 through our own client. Both link and unlink.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import IO, Any, Protocol

from rwc_daemon.audio import libjack
from rwc_daemon.audio.holder import STANDBY_CLASS
from rwc_daemon.audio.metadata import MetadataWatch, Table, node_name, targets
from rwc_daemon.audio.mixer import Jack, Mixer, mixer_of, note_jacks
from rwc_daemon.audio.monitor import run_quietly, start_monitor
from rwc_daemon.audio.names import MicrophoneNames
from rwc_daemon.audio.programs import MANAGER, kin_of, note_program
from rwc_daemon.audio.remembered import memory_key

RETRY_S = 0.25  # between looks for a server that is not there
FIRST_RETRY_S = 0.03  # after one was lost; doubled up to RETRY_S, since a server that is started again is back at once
LINK_TIMEOUT_S = 2.0
RECORDED = ("Audio/Source", "Audio/Duplex", "Stream/Input/Audio")


@dataclass(frozen=True)
class Port:
    """One audio port."""

    id: str
    """PipeWire's object id, or JACK's full name."""
    node: str
    """Id of its node."""
    name: str
    output: bool
    """True: sound comes out of it."""


@dataclass(frozen=True)
class Node:
    """One device, stream or JACK client."""

    id: str
    serial: str
    """Never used twice, so it tells a recreated node from the old one."""
    name: str
    description: str
    media_class: str
    virtual: bool
    """No hardware behind it."""
    meter: bool
    """A mixer's level meter."""
    priority: int
    """Of the session manager, for the choice of a default."""
    target: str = ""
    """A stream's: the node.name that its program asked for; empty: the default."""
    path: str = ""
    """Another name that the session manager finds it by."""
    mixer: Mixer = field(default_factory=Mixer)
    """Of sources and of streams that record."""
    autoconnect: bool = False
    """A stream's: the session manager is to link it."""
    kin: frozenset[str] = frozenset()
    """What it shares with the other ends of the same program or filter, see `programs.kin_of`."""
    memory: str = ""
    """A recording stream's: what the session manager remembers its program by (`remembered`)."""

    @property
    def is_source(self) -> bool:
        return self.media_class in ("Audio/Source", "Audio/Source/Virtual", "Audio/Duplex")


@dataclass(frozen=True)
class Link:
    id: str
    source: str
    sink: str
    """Ids of the ports it joins."""


@dataclass(frozen=True)
class Graph:
    """One snapshot of the graph. It is empty while no server answers."""

    nodes: dict[str, Node] = field(default_factory=dict)
    ports: dict[str, Port] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    default_source: str = ""
    """Node.name that the session manager uses now."""
    configured_source: str = ""
    """Node.name that the user has chosen in the desktop."""
    programs: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Id → role and identity of what RWC Mic depends on (`programs`)."""
    jacks: dict[str, tuple[Jack, ...]] = field(default_factory=dict)
    """Id of a sound card → its ways in that are chosen now."""
    targets: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Id of a stream → key and value of what the session manager was told to link it to."""
    names: MicrophoneNames = field(default_factory=MicrophoneNames)
    """Of the microphone by which the graph is looked at."""

    def identity(self, role: str) -> str:
        """Returns the identity of the program in that role: it changes with a restart, and is empty while there is
        none."""
        return next((who for part, who in self.programs.values() if part == role), "")

    def node(self, name: str) -> Node | None:
        """Returns the newest node of that name; standbys do not count."""
        alike = (n for n in reversed(self.nodes.values()) if n.name == name and n.media_class != STANDBY_CLASS)
        return next(alike, None)

    @property
    def microphone(self) -> Node | None:
        """RWC Mic's node."""
        return self.node(self.names.node)

    @property
    def feed(self) -> Node | None:
        """Its other side."""
        return self.node(self.names.feed)

    @property
    def standbys(self) -> list[Node]:
        """See `holder.standby`."""
        alike = (node for node in self.nodes.values() if node.media_class == STANDBY_CLASS)
        return [node for node in alike if node.name == self.names.node]

    def ports_of(self, node: Node | None, output: bool) -> list[Port]:
        """Returns a node's ports in the order of their channels."""
        return [p for p in self.ports.values() if node and p.node == node.id and p.output == output]

    def port(self, node_name: str, port_name: str) -> Port | None:
        node = self.node(node_name)
        return next((p for p in self.ports.values() if node and p.node == node.id and p.name == port_name), None)

    def links_into(self, port: Port) -> list[Link]:
        return [link for link in self.links.values() if link.sink == port.id]

    def readers_of(self, node: Node) -> list[Node]:
        """Returns the nodes that take sound from a node, each once."""
        outputs = {port.id for port in self.ports_of(node, output=True)}
        takers = {self.ports[k.sink].node for k in self.links.values() if k.source in outputs and k.sink in self.ports}
        return [self.nodes[taker] for taker in takers if taker in self.nodes]


class GraphWatch(Protocol):
    """What routing needs of a server."""

    on_change: Callable[[], None]

    def graph(self) -> Graph: ...
    def connect(self, source: Port, sink: Port) -> None: ...
    def disconnect(self, link: Link) -> None: ...


def ignore_change() -> None:
    """The `on_change` of a graph that nobody watches."""


class PipeWireGraph:
    """Follows PipeWire's registry in a thread of its own, also through a restart of the server."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = ignore_change
        # called from that thread, once per batch of changes
        self._graph = Graph()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._known = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._metadata = MetadataWatch(self._defaults)
        self._thread = threading.Thread(target=self._follow, name="rwc-graph", daemon=True)

    def start(self, timeout_s: float = 2.0) -> None:
        """Waits until the graph is known, for a limited time; after that it comes later."""
        self._thread.start()
        self._known.wait(timeout_s)

    def stop(self) -> None:
        self._stopping.set()
        with self._lock:
            if self._process:
                self._process.terminate()
        self._thread.join(LINK_TIMEOUT_S)
        self._metadata.follow("")

    def graph(self) -> Graph:
        with self._lock:
            return self._graph

    def connect(self, source: Port, sink: Port) -> None:
        """Links two ports. If a port has just gone it does nothing: the next reconciliation sees that."""
        run_quietly("pw-link", source.id, sink.id)

    def disconnect(self, link: Link) -> None:
        run_quietly("pw-link", "-d", link.source, link.sink)

    def _follow(self) -> None:
        pause_s = RETRY_S
        while not self._stopping.is_set():
            if libjack.pipewire_runs():
                self._follow_server()
            pause_s = FIRST_RETRY_S if self.graph() != Graph() else min(RETRY_S, 2 * pause_s)
            self._metadata.follow("")
            self._publish(lambda graph: Graph())
            self._stopping.wait(pause_s)

    def _follow_server(self) -> None:
        with start_monitor("pw-dump", "--monitor", "--no-colors") as process:
            with self._lock:
                self._process = process
            if self._stopping.is_set():
                process.terminate()
            assert process.stdout
            self._read(process.stdout)
            process.terminate()
            with self._lock:
                self._process = None

    def _read(self, stream: IO[bytes]) -> None:
        """Reads batches of changes: each is one JSON array whose brackets stand alone on their lines."""
        lines: list[bytes] = []
        for line in stream:
            lines.append(line)
            if line.rstrip() != b"]":
                continue
            try:
                batch = json.loads(b"".join(lines))
            except ValueError:
                return  # out of step: begin again with a new process
            lines = []
            before = self.graph().nodes.keys()
            self._publish(partial(changed, batch=batch))
            if before != self.graph().nodes.keys():
                self._metadata.check()
            manager = self.graph().identity(MANAGER)
            self._metadata.follow(manager)
            if not manager:
                self._known.set()

    def _defaults(self, table: Table) -> None:
        self._publish(lambda graph: with_defaults(graph, table))
        self._known.set()

    def _publish(self, step: Callable[[Graph], Graph]) -> None:
        with self._lock:
            before, self._graph = self._graph, step(self._graph)
            same = before == self._graph
        if not same and not self._stopping.is_set():
            self.on_change()


def changed(graph: Graph, batch: list[dict[str, Any]]) -> Graph:
    """Returns the graph after one batch of pw-dump's objects."""
    nodes, ports, links = dict(graph.nodes), dict(graph.ports), dict(graph.links)
    programs, jacks = dict(graph.programs), dict(graph.jacks)
    for item in batch:
        key, kind, info = str(item["id"]), item.get("type", "").rpartition(":")[2], item.get("info")
        note_program(programs, key, kind, item)
        note_jacks(jacks, key, kind, info)
        for table in (nodes, ports, links):
            if not info or kind not in ("Node", "Port", "Link"):
                table.pop(key, None)
        props = (info or {}).get("props") or {}
        if info and kind == "Node":
            nodes[key] = _node(key, props, info)
        elif info and kind == "Port" and "audio" in str(props.get("format.dsp", "audio")):
            ports[key] = Port(
                key, str(props.get("node.id")), str(props.get("port.name")), info["direction"] == "output"
            )
        elif info and kind == "Link":
            links[key] = Link(key, str(info["output-port-id"]), str(info["input-port-id"]))
    return replace(graph, nodes=nodes, ports=ports, links=links, programs=programs, jacks=jacks)


def with_defaults(graph: Graph, table: Table) -> Graph:
    return replace(
        graph,
        default_source=node_name(table, "default.audio.source"),
        configured_source=node_name(table, "default.configured.audio.source"),
        targets=targets(table),
    )


def _node(key: str, props: dict[str, Any], info: dict[str, Any]) -> Node:
    media_class = str(props.get("media.class", ""))
    name = str(props.get("node.name", ""))
    return Node(
        id=key,
        serial=str(props.get("object.serial", key)),
        name=name,
        description=str(props.get("node.description") or props.get("node.nick") or name),
        media_class=media_class,
        virtual=bool(props.get("node.virtual", media_class.endswith("/Virtual"))),
        meter=bool(props.get("stream.monitor") or props.get("resample.peaks")),
        priority=int(props.get("priority.session", 0)),
        target=str(props.get("target.object", "")),
        path=str(props.get("object.path", "")),
        # a player's volume is nobody's business here: it would only wake us
        mixer=mixer_of(info) if media_class.startswith(RECORDED) else Mixer(),
        autoconnect=bool(props.get("node.autoconnect")),
        kin=kin_of(props),
        memory=memory_key(props),
    )


class JackGraph:
    """JACK2, seen through our own client while that is open. It tells of no changes: look each second."""

    def __init__(self, client: Callable[[], Any]) -> None:
        """`client`: gives the open `jack.Client`, or None."""
        self.on_change: Callable[[], None] = ignore_change
        self._client = client

    def graph(self) -> Graph:
        client = self._client()
        if client is None:
            return Graph()
        ports = {p.name: p for p in client.get_ports(is_audio=True)}
        names = dict.fromkeys(name.partition(":")[0] for name in ports)
        real = {n.partition(":")[0] for n, p in ports.items() if p.is_physical and p.is_output}
        links = [(p.name, q.name) for p in ports.values() if p.is_output for q in client.get_all_connections(p)]
        return Graph(
            nodes={n: Node(n, n, n, n, "Audio/Source" if n in real else "", n not in real, False, 0) for n in names},
            ports={n: Port(n, n.partition(":")[0], n.partition(":")[2], p.is_output) for n, p in ports.items()},
            links={f"{a}|{b}": Link(f"{a}|{b}", a, b) for a, b in links},
            default_source="system" if "system" in real else next(iter(sorted(real)), ""),
        )

    def connect(self, source: Port, sink: Port) -> None:
        self._try("connect", source.id, sink.id)

    def disconnect(self, link: Link) -> None:
        self._try("disconnect", link.source, link.sink)

    def _try(self, verb: str, source: str, sink: str) -> None:
        client = self._client()
        if client is None:
            return
        jack = libjack.load().module
        try:
            getattr(client, verb)(source, sink)
        except jack.JackError:
            return  # a port has just gone: whoever reconciles will see
