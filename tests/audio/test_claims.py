"""Who records RWC Mic stays on it or on its silent standby, whatever goes: the claims and numbers that hold that."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from rwc_daemon.audio import standby as standby_module
from rwc_daemon.audio.graph import Graph, Node, PipeWireGraph
from rwc_daemon.audio.listeners import Listeners
from rwc_daemon.audio.microphone import Microphone
from rwc_daemon.audio.standby import numbers
from testkit.harness.fixtures import audio_session  # noqa: F401
from testkit.harness.session import AudioSession, wait_for

CALM_S = 10.0


class Rig:
    """What the daemon has of RWC Mic and of those who record it."""

    def __init__(self, session: AudioSession) -> None:
        self.session = session
        self.graph = PipeWireGraph()
        self.graph.start()
        self.microphone = Microphone(self.graph)
        self.microphone.ensure()
        self.listeners = Listeners(self.graph)

    def targets(self, stream: Node) -> list[str]:
        """What stands in the session manager's metadata of a stream."""
        return [line for line in self.session.run("pw-metadata", stream.id).splitlines() if "target.object" in line]

    def stream(self, name: str) -> Node:
        wait_for(lambda: self.graph.graph().node(name), what=name)
        node = self.graph.graph().node(name)
        assert node
        return node

    def claimed(self, stream: Node) -> bool:
        """Looks as the daemon does, and says whether the stream has a target now."""
        self.listeners.look()
        return bool(self.targets(stream))

    def paths(self) -> list[str]:
        return sorted(one.path for one in self.graph.graph().standbys)

    def close(self) -> None:
        self.microphone.stop()
        self.graph.stop()


@pytest.fixture
def rig(audio_session: AudioSession) -> Iterator[Rig]:  # noqa: F811
    rig = Rig(audio_session)
    yield rig
    audio_session.run("pw-metadata", "-d", "0", "default.configured.audio.source")
    rig.close()


@contextmanager
def follower() -> Iterator[None]:
    """A program that records the default source."""
    program = subprocess.Popen(["parec", "--client-name=follower"], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        program.kill()
        program.wait()


def test_a_claim_that_was_lost_is_said_again(rig: Rig) -> None:
    rig.session.run("pactl", "set-default-source", "rwc_mic")
    with follower():
        stream = rig.stream("follower")
        wait_for(lambda: rig.claimed(stream), what="the claim")
        rig.session.run("pw-metadata", "-d", stream.id, "target.object")
        assert not rig.targets(stream)
        with rig.session.source("usb"):  # the table is read again when nodes come
            wait_for(lambda: rig.claimed(stream), CALM_S, what="the claim, again")


def test_who_follows_the_default_is_claimed_also_where_the_default_came_before_the_choice(rig: Rig) -> None:
    """The two keys of the metadata do not come at once; RWC Mic may be the default, too, because nothing else is."""
    with rig.session.source("usb"):
        rig.session.run("pw-metadata", "0", "default.audio.source", '{ "name": "rwc_mic" }', "Spa:String:JSON")
        wait_for(lambda: rig.graph.graph().default_source == "rwc_mic", what="the default")
        with follower():
            stream = rig.stream("follower")
            rig.listeners.look()
            rig.session.run("pactl", "set-default-source", "rwc_mic")
            wait_for(lambda: rig.claimed(stream), CALM_S, what="the claim")


def test_before_the_daemon_stops_each_number_of_the_node_has_a_standby(rig: Rig) -> None:
    with follower():
        rig.stream("follower")
        graph = rig.graph.graph()
        node = graph.node("rwc_mic")
        assert node
        wanted = sorted(numbers(graph, node))
        wait_for(lambda: rig.paths() == wanted, what="its standbys")
        rig.session.run("pw-cli", "destroy", graph.standbys[-1].id)
        wait_for(lambda: rig.paths() != wanted, what="one of them gone")
        rig.session.run("pactl", "set-default-source", "rwc_mic")
        wait_for(lambda: rig.listeners.look() == 1, what="the recorder at RWC Mic")
        rig.microphone.stop()
        wait_for(lambda: rig.paths() == wanted, what="a standby for each number")


def test_a_number_is_borne_unless_a_program_was_sent_to_another_node_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of RWC Mic is often the serial of another microphone, where both were made soon after the server."""
    monkeypatch.setattr(standby_module, "numbers_are_names", lambda: True)  # WirePlumber 0.4
    mic = Node("50", "63", "rwc_mic", "RWC Mic", "Audio/Source", False, False, 0)
    other = Node("48", "50", "usb", "usb", "Audio/Source", False, False, 0)
    graph = Graph(nodes={node.id: node for node in (mic, other)})
    assert numbers(graph, mic) == ["63", "50"]
    assert numbers(replace(graph, targets={"70": ("target.node", "50")}), mic) == ["63", "50"]
    assert numbers(replace(graph, targets={"70": ("target.object", "50")}), mic) == ["63"]
    same = replace(mic, serial="50")
    assert numbers(Graph(nodes={"50": same}), same) == ["50"]
    monkeypatch.setattr(standby_module, "numbers_are_names", lambda: False)
    assert numbers(graph, mic) == ["63"]
