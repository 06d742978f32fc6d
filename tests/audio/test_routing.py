"""Which microphone is taken: rules on plain graphs, no server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rwc_daemon.audio.graph import Graph, Link, Node, Port, changed, with_defaults
from rwc_daemon.audio.input_choice import CircleWatch, decide_input
from rwc_daemon.audio.metadata import note
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
        (graph_of(OURS, REAL, EFFECTS, default="effects", configured="effects"), DEFAULT, "effects"),
        (graph_of(OURS, EFFECTS, default="effects"), DEFAULT, "effects"),
        (graph_of(OURS, REAL, EFFECTS, default="usb"), DEFAULT, "usb"),
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


def linked(graph: Graph, *pairs: tuple[str, str]) -> Graph:
    """With the first node of each pair linked into the second."""
    sinks = {f"{sink}:in": Port(f"{sink}:in", sink, "playback", False) for _, sink in pairs}
    links = {f"{a}>{b}": Link(f"{a}>{b}", f"{a}:out", f"{b}:in") for a, b in pairs}
    return replace(graph, ports=graph.ports | sinks, links=links)


def kin(name: str, media_class: str, *shared: str) -> Node:
    return replace(node(name, media_class, virtual=True), kin=frozenset(shared))


CAPTURE, FILTER = kin("cap", "Stream/Input/Audio", "group 7"), kin("effects", "Audio/Source/Virtual", "group 7")
HEAR, SAY = kin("hear", "Stream/Input/Audio", "client.id 9"), kin("say", "Stream/Output/Audio", "client.id 9")


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (linked(graph_of(OURS, REAL, EFFECTS), ("usb", "effects")), "effects"),
        (linked(graph_of(OURS, REAL, EFFECTS), ("rwc_mic", "effects")), "usb"),
        (linked(graph_of(OURS, REAL, EFFECTS, node("eq", "")), ("rwc_mic", "eq"), ("eq", "effects")), "usb"),
        (linked(graph_of(OURS, REAL, EFFECTS, node("rwc", "")), ("rwc", "effects")), "usb"),
        (linked(graph_of(OURS, REAL, CAPTURE, FILTER), ("rwc_mic", "cap")), "usb"),
        (linked(graph_of(OURS, REAL, CAPTURE, FILTER), ("usb", "cap")), "effects"),
        (linked(graph_of(OURS, REAL, EFFECTS, HEAR, SAY), ("rwc_mic", "hear"), ("say", "effects")), "usb"),
        (linked(graph_of(OURS, EFFECTS), ("rwc_mic", "effects")), None),
        (linked(graph_of(OURS, REAL, EFFECTS), ("effects", "rwc_mic")), "effects"),
    ],
)
def test_a_virtual_default_that_hears_us_is_not_taken(graph, expected):
    chosen = decide_input(replace(graph, default_source="effects"), DEFAULT, "rwc")
    assert (chosen.node and chosen.node.name) == expected
    assert ("effects" in chosen.note and chosen.fault) == (expected != "effects")


def test_who_was_chosen_by_name_and_hears_us_is_not_taken_either():
    graph = linked(graph_of(OURS, REAL, EFFECTS, default="usb"), ("rwc_mic", "effects"))
    chosen = decide_input(graph, "effects", "rwc")
    assert chosen.name == "usb"
    assert "hears RWC Mic" in chosen.note
    # a program's own business: it plays into what was chosen, and records RWC Mic for something else, perhaps
    graph = linked(graph_of(OURS, REAL, EFFECTS, HEAR, SAY), ("rwc_mic", "hear"), ("say", "effects"))
    assert decide_input(graph, "effects", "rwc").name == "effects"


def test_a_circle_is_remembered_until_it_is_seen_open():
    circles = CircleWatch()
    idle = graph_of(OURS, REAL, EFFECTS, default="effects")

    def fed_in(graph: Graph) -> str:
        circles.look(graph, "rwc")
        return decide_input(graph, DEFAULT, "rwc", circular=circles.circular).name

    assert fed_in(idle) == "effects"
    assert fed_in(linked(idle, ("rwc_mic", "effects"))) == "usb"
    assert fed_in(idle) == "usb"
    assert fed_in(linked(idle, ("usb", "effects"))) == "effects"


def test_without_a_known_default_the_microphone_stays():
    graph = graph_of(OURS, REAL, OTHER)
    assert decide_input(graph, DEFAULT, "rwc").name == "webcam"
    assert decide_input(graph, DEFAULT, "rwc", kept="usb").name == "usb"


@pytest.mark.parametrize(
    ("default", "says"), [("rwc_mic", "RWC Mic itself"), ("speakers", "is no microphone"), ("", "no default source")]
)
def test_another_than_the_default_is_explained(default, says):
    chosen = decide_input(graph_of(OURS, REAL, SINK, default=default), DEFAULT, "rwc")
    assert chosen.name == "usb"
    assert says in chosen.note
    assert not chosen.fault


def test_defaults_are_merged_key_by_key_and_removed_when_they_are():
    table: dict[tuple[int, str], str] = {}

    def says(*lines: str) -> tuple[str, str]:
        for line in lines:
            note(table, line)
        graph = with_defaults(Graph(), table)
        return graph.default_source, graph.configured_source

    source, configured = "default.audio.source", "default.configured.audio.source"
    found = 'Found "default" metadata 34'
    first = f"""update: id:0 key:'{source}' value:'{{ "name": "usb's" }}' type:'Spa:String:JSON'"""
    assert says(found, first) == ("usb's", "")
    assert says("update: id:57 key:'target.object' value:'rwc_mic' type:'Spa:String'") == ("usb's", "")
    chosen = f"""update: id:0 key:'{configured}' value:'{{"name":"b"}}' type:'Spa:String:JSON'"""
    assert says(chosen) == ("usb's", "b")
    assert says(f"update: id:57 key:'{source}' value:'{{\"name\":\"c\"}}' type:'x'") == ("usb's", "b")
    assert says(f"remove: id:0 key:'{configured}'") == ("usb's", "")
    assert says("remove: id:57 all keys") == ("usb's", "")
    assert says(f"update: id:0 key:'{source}' value:'nonsense' type:''", "also nonsense") == ("", "")
    assert says(first, "remove: id:0 all keys") == ("", "")
    assert not table
