"""Which microphone is taken: rules on plain graphs, no server."""

from __future__ import annotations

import pytest

from rwc_daemon.audio.graph import Graph, Node, Port, changed
from rwc_daemon.audio.routing import DEFAULT, find_input


def node(name: str, media_class: str = "Audio/Source", virtual: bool = False, priority: int = 0) -> Node:
    return Node(name, name, name, f"The {name}", media_class, virtual, False, priority)


def graph_of(*nodes: Node, default: str = "", configured: str = "") -> Graph:
    ports = {f"{n.id}:out": Port(f"{n.id}:out", n.id, "capture", True) for n in nodes}
    return Graph({n.id: n for n in nodes}, ports, {}, default, configured)


OURS = node("rwc_mic")
REAL = node("usb", priority=10)
OTHER = node("webcam", priority=20)
EFFECTS = node("effects", virtual=True)
SINK = node("speakers", "Audio/Sink", virtual=False)


@pytest.mark.parametrize(
    ("graph", "choice", "expected"),
    [
        (graph_of(OURS, REAL, OTHER, default="usb"), DEFAULT, "usb"),
        (graph_of(OURS, REAL, OTHER, default="rwc_mic", configured="rwc_mic"), DEFAULT, "webcam"),
        (graph_of(OURS, default="rwc_mic", configured="rwc_mic"), DEFAULT, None),
        (graph_of(OURS, REAL, EFFECTS, default="effects", configured="effects"), DEFAULT, "usb"),
        (graph_of(OURS, EFFECTS, default="effects"), DEFAULT, None),
        (graph_of(OURS, EFFECTS, default="effects", configured="effects"), DEFAULT, "effects"),
        (graph_of(OURS, SINK, default="speakers.monitor"), DEFAULT, None),
        (graph_of(OURS, REAL, SINK, default="usb"), "speakers.monitor", "speakers"),
        (graph_of(OURS, REAL, EFFECTS, default="usb"), "effects", "effects"),
        (graph_of(OURS, REAL, EFFECTS, default="usb"), "the EFFECTS", "effects"),
        (graph_of(OURS, REAL, default="usb"), "rwc_mic", "usb"),
        (graph_of(OURS, REAL, default="usb"), "unplugged", "usb"),
        (graph_of(OURS, REAL, node("rwc-probe", ""), default="usb"), "rwc-probe", "rwc-probe"),
        (Graph(), DEFAULT, None),
    ],
)
def test_the_input_is(graph, choice, expected):
    found = find_input(graph, choice, "rwc")
    assert (found and found.name) == expected


def test_the_registry_is_followed():
    usb = {"props": {"node.name": "usb", "media.class": "Audio/Source"}}
    capture = {"direction": "output", "props": {"node.id": 5, "port.name": "c"}}
    added = [
        {"id": 5, "type": "PipeWire:Interface:Node", "info": usb},
        {"id": 6, "type": "PipeWire:Interface:Port", "info": capture},
    ]
    graph = changed(Graph(), added)
    assert [p.name for p in graph.ports_of(graph.node("usb"), output=True)] == ["c"]
    assert changed(graph, [{"id": 5, "info": None}, {"id": 6, "info": None}]) == Graph()
