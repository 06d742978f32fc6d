"""Which microphone feeds us, and the links that make it so.

`reconcile` compares what should be with what is and fixes the difference; it is called at every change of the graph and
each second, for ever, because a link that is made once is a link that is missing after the next suspend.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from rwc_daemon.audio.client import AudioClient
from rwc_daemon.audio.graph import Graph, GraphWatch, Link, Port
from rwc_daemon.audio.input_choice import (
    DEFAULT,
    MONITOR,
    CircleWatch,
    InputChoice,
    decide_input,
    find_input,
    is_ours,
    named_input,
)
from rwc_daemon.errors import NoSuchInput, OutOfRange

__all__ = ["CHANNELS", "DEFAULT", "Input", "Router", "find_input"]

CHANNELS = ("auto", "left", "right", "mix")


@dataclass(frozen=True)
class Input:
    """One microphone that can be chosen."""

    name: str
    """Node.name: stays through unplugging and restarts."""
    description: str
    default: bool
    """The desktop's default source."""
    current: bool
    """Feeds us, or will when somebody records."""
    channels: int
    virtual: bool
    """No hardware."""


def _channels(ports: list[Port], side: str) -> list[Port]:
    """JACK sums the links of one port, so a mix of two is two links, halved by the client."""
    return {"right": ports[1:2], "mix": ports[:2]}.get(side, ports[:1])


def _beside(ports: list[Port], side: str) -> list[Port]:
    """What the meter listens to: the channel that is not used, or one of two that could cancel each other."""
    return {"left": ports[1:2], "right": ports[:1], "mix": ports[:1]}.get(side, [])


class Router:
    """The links of one client. Every method may block for some 10 ms on a link; any thread may call."""

    def __init__(self, watch: GraphWatch, client: AudioClient, choice: str = DEFAULT, channel: str = "auto") -> None:
        """`choice`: as `choose` takes it, but the microphone need not be there yet (a saved choice)."""
        self._watch, self._client = watch, client
        self._lock = threading.Lock()
        self._choice = choice or DEFAULT
        self._channel = channel
        self._circles = CircleWatch()
        self._sides: dict[str, str] = {}
        # node.name → the side that was found to carry its sound
        self.engaged = False
        # links exist only while True
        self.current = ""
        # node.name of the input that feeds us; empty: none does
        self.side = ""
        # the channel of it that is used, "left", "right" or "mix"; empty: it has only one

    @property
    def choice(self) -> str:
        return self._choice

    @property
    def channel(self) -> str:
        return self._channel

    @channel.setter
    def channel(self, channel: str) -> None:
        """`left`, `right` or `mix` of a microphone with several channels; `auto`: whichever carries sound."""
        if channel not in CHANNELS:
            raise OutOfRange(f"a channel is one of {', '.join(CHANNELS)}; not '{channel[:60]}'")
        self._channel = channel
        self._sides = {}

    def turn_to(self, side: str) -> None:
        """The current input's sound was found on `left` or `right`: `auto` takes that, and `mix` where the two channels
        cancel each other."""
        if self.current:
            self._sides[self.current] = side

    def choose(self, name: str) -> None:
        """A node.name, a description, `SINK.monitor`, or "default". Raises NoSuchInput and changes nothing."""
        graph = self._watch.graph()
        node = named_input(graph, name, self._client.name) if name != DEFAULT else None
        if name != DEFAULT and node is None:
            known = ", ".join(i.name for i in self.inputs()) or "none is connected"
            raise NoSuchInput(f"no microphone '{name}'; known: {DEFAULT}, {known}")
        if node is None or name.endswith(MONITOR):
            self._choice = name
        else:  # a sink's name alone would not say that it is no microphone
            self._choice = node.name + MONITOR if node.media_class == "Audio/Sink" else node.name

    def inputs(self) -> list[Input]:
        """What `choose` takes, real microphones first."""
        graph = self._watch.graph()
        nodes = [n for n in graph.nodes.values() if n.is_source and not is_ours(graph, n, self._client.name)]
        # a node without ports is still being made
        nodes = [node for node in nodes if graph.ports_of(node, output=True)]
        current = self._decide(graph).name
        found = [
            Input(
                name=node.name,
                description=node.description,
                default=node.name == graph.default_source,
                current=node.name == current,
                channels=len(graph.ports_of(node, output=True)),
                virtual=node.virtual,
            )
            for node in nodes
        ]
        return sorted(found, key=lambda item: (item.virtual, item.name))

    def decide(self) -> InputChoice:
        """What feeds us now, or would if somebody recorded, and why."""
        return self._decide(self._watch.graph())

    def _decide(self, graph: Graph) -> InputChoice:
        self._circles.look(graph, self._client.name)
        return decide_input(graph, self._choice, self._client.name, self.current, self._circles.circular)

    def reconcile(self) -> bool:
        """Fixes the links; True when there was nothing to fix."""
        with self._lock:
            graph = self._watch.graph()
            source = graph.port(self._client.name, "input")
            if source is None:
                self.current = ""
                return not self.engaged
            node = self._decide(graph).node if self.engaged else None
            outputs = graph.ports_of(node, output=True) if node else []
            side = self._side_of(node.name) if node and len(outputs) > 1 else ""
            ports = _channels(outputs, side)
            self._client.set_input_gain(1 / max(1, len(ports)))
            joins = bool(ports) and not {link.source for link in graph.links_into(source)} & {port.id for port in ports}
            if joins and self._client.links_first:
                self._unfeed(graph)
            settled = self._hold(graph, source, ports)
            if self._client.links_first and settled and ports:
                self._client.await_cycle()
            self.current, self.side = (node.name, side) if node and settled else ("", "")
            # not before the microphone runs: RWC Mic would bring along the rate of the driver that it waits at
            fed = (settled or not self._client.links_first) and self._feed(graph)
            meter = graph.port(self._client.name, "meter")
            if meter is not None and fed:  # what it hears is only shown, so nobody waits for it
                self._hold(graph, meter, _beside(outputs, side))
            return fed and settled

    def _unfeed(self, graph: Graph) -> None:
        output = graph.port(self._client.name, "output")
        sinks = graph.ports_of(graph.feed, output=False)
        for link in [link for sink in sinks for link in graph.links_into(sink) if output and link.source == output.id]:
            self._watch.disconnect(link)

    def _side_of(self, name: str) -> str:
        if self._channel in ("left", "right"):
            return self._channel
        return self._sides.get(name) or ("mix" if self._channel == "mix" else "left")

    def _hold(self, graph: Graph, sink: Port, wanted: list[Port]) -> bool:
        """Exactly these links into our input: what another left there could be the wrong voice."""
        present = graph.links_into(sink)
        extra = [link for link in present if link.source not in {port.id for port in wanted}]
        for link in extra:
            self._watch.disconnect(link)
        return self._add(present, wanted, sink) and not extra

    def _add(self, present: list[Link], wanted: list[Port], sink: Port) -> bool:
        missing = [port for port in wanted if port.id not in {link.source for link in present}]
        for port in missing:
            self._watch.connect(port, sink)
        return not missing

    def _feed(self, graph: Graph) -> bool:
        """Our output to RWC Mic. Other links of it are the user's own (hearing himself, JACK programs)."""
        output = graph.port(self._client.name, "output")
        node = graph.feed or graph.microphone
        if output is None or node is None or not self.engaged:
            return True  # nothing to feed: on plain JACK2 the links are the user's, else RWC Mic is made first
        sinks = graph.ports_of(node, output=False)
        return bool(sinks) and all(self._add(graph.links_into(sink), [output], sink) for sink in sinks)
