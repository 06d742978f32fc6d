"""What a program is remembered by, as WirePlumber writes it, and who is brought back for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rwc_daemon.audio.claims import Claims
from rwc_daemon.audio.graph import Graph, Node, changed, with_defaults
from rwc_daemon.audio.metadata import Table
from rwc_daemon.audio.remembered import belongs_here, memory_key

# as WirePlumber 0.4.13 and 0.5.8 wrote them
OLD = r"""[restore-stream]
Input/Audio:application.name:call:channelVolumes=1.0;
Input/Audio:application.name:call:target=rwc_mic
Input/Audio:application.name:my\sown\s\o1\c\sa\eb:target=rwc_mic
Input/Audio:application.name:other:target=usb
"""
NEW = """[stream-properties]
Input/Audio:application.name:call={"mute":false, "target":"rwc_mic"}
Input/Audio:application.name:other={"target":"usb", "volume":1.0}
Input/Audio:application.name:odd=rwc_mic
"""


@pytest.fixture(params=["restore-stream", "stream-properties"])
def memory(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "wireplumber").mkdir()
    path = tmp_path / "wireplumber" / request.param
    path.write_text(OLD if request.param == "restore-stream" else NEW)
    return path


def test_only_who_was_put_here_belongs_here(memory: Path) -> None:
    assert belongs_here("Input/Audio:application.name:call", "rwc_mic")
    for other in ("other", "odd", "cal", "nobody", ""):
        assert not belongs_here(f"Input/Audio:application.name:{other}", "rwc_mic")
    assert belongs_here("Input/Audio:application.name:my own [1] a=b", "rwc_mic") == (memory.name == "restore-stream")
    memory.unlink()
    assert not belongs_here("Input/Audio:application.name:call", "rwc_mic")


def test_the_key_is_the_first_that_the_session_manager_takes() -> None:
    props = {"media.class": "Stream/Input/Audio", "node.name": "n", "application.name": "call"}
    assert memory_key(props) == "Input/Audio:application.name:call"
    assert memory_key(props | {"media.role": "Music"}) == "Input/Audio:media.role:Music"
    assert memory_key(props | {"media.class": "Stream/Output/Audio"}) == ""


def seen(name: str, table: Table, **more: str) -> Graph:
    """A graph with RWC Mic (id 50, serial 417), a microphone (30), and a stream (78) of that program."""
    stream = {"media.class": "Stream/Input/Audio", "object.serial": 349, "application.name": name, "node.name": name}
    nodes = {
        50: {"media.class": "Audio/Source", "object.serial": 417, "node.name": "rwc_mic"},
        30: {"media.class": "Audio/Source", "object.serial": 31, "node.name": "usb"},
        78: {**stream, **more},
    }
    batch = [{"id": i, "type": "PipeWire:Interface:Node", "info": {"props": props}} for i, props in nodes.items()]
    return with_defaults(changed(Graph(), batch), {(0, "default.audio.source"): '{"name":"usb"}', **table})


@pytest.mark.parametrize(
    ("table", "stray"),
    [
        ({(78, "target.node"): "48"}, True),
        ({(78, "target.object"): "49", (78, "target.node"): "48"}, True),
        ({}, False),  # follows the default
        ({(78, "target.node"): "30"}, False),  # where its user wants it now
        ({(78, "target.object"): "31", (78, "target.node"): "48"}, False),
        ({(78, "target.object"): "-1", (78, "target.node"): "-1"}, False),
        ({(78, "target.object"): "rwc_mic"}, False),  # on its way
    ],
)
@pytest.mark.usefixtures("memory")
def test_who_was_sent_to_a_node_that_has_gone_is_brought_back(table: Table, stray: bool) -> None:
    claims = Claims()
    graph = seen("call", table)
    claims.hold(graph)
    assert [s.name for s in claims.strays(graph)] == (["call"] if stray else [])


@pytest.mark.usefixtures("memory")
def test_who_was_never_here_is_never_brought_here() -> None:
    lost = {(78, "target.node"): "48"}
    for graph in (seen("other", lost), seen("nobody", lost), seen("call", lost, **{"target.object": "usb"})):
        assert Claims().strays(graph) == []
    meter: Node = replace(seen("call", lost).nodes["78"], meter=True)
    graph = seen("call", lost)
    assert Claims().strays(replace(graph, nodes={**graph.nodes, "78": meter})) == []
