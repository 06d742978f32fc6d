"""Several microphones beside each other in a real PipeWire: each with nodes, standby and links of its own."""

from __future__ import annotations

import os

import numpy as np
import pytest

from rwc_daemon.audio.client import AudioClient
from rwc_daemon.audio.either import EitherGraph
from rwc_daemon.audio.graph import Graph, Link, Node, Port
from rwc_daemon.audio.holder import FIRST
from rwc_daemon.audio.input_choice import decide_input
from rwc_daemon.audio.listeners import Listeners
from rwc_daemon.audio.microphone import Microphone, own_folder
from rwc_daemon.audio.names import MicrophoneNames, checked
from rwc_daemon.audio.routing import Router
from rwc_daemon.errors import OutOfRange
from rwc_daemon.link.ring import SharedRings
from testkit.harness.fixtures import audio_session  # noqa: F401
from testkit.harness.session import FAKE_MIC, Recorder, wait_for

RATE = 48000
MEETING = MicrophoneNames("meeting")


def test_the_first_has_the_names_that_it_always_had() -> None:
    names = (FIRST.node, FIRST.feed, FIRST.description, FIRST.unit, FIRST.client("rwc"))
    assert names == ("rwc_mic", "rwc_mic.feed", "RWC Mic", "rwc-mic.service", "rwc")
    further = (MEETING.node, MEETING.feed, MEETING.description, MEETING.unit, MEETING.client("rwc"))
    assert further == (
        *("rwc_mic.meeting", "rwc_mic.meeting.feed", "RWC Mic: meeting"),
        *("rwc-mic@meeting.service", "rwc.meeting"),
    )


def node(number: str, name: str, kind: str = "Audio/Source", virtual: bool = False, kin: frozenset[str] = frozenset()):
    return Node(number, number, name, name, kind, virtual, meter=False, priority=1000, kin=kin)


@pytest.mark.parametrize("name", ["", "feed", "standby", "Meeting", "2nd", "a.b", "a b", "a" * 32, "a\n", "ä"])
def test_a_name_that_nodes_and_units_cannot_bear_is_refused(name: str) -> None:
    with pytest.raises(OutOfRange):
        checked(name)


def test_a_microphone_follows_no_default_into_another_one_but_takes_it_when_told() -> None:
    nodes = {
        "1": node("1", "rwc_mic"),
        "2": node("2", "rwc_mic.meeting"),
        "3": node("3", "usb"),
    }
    ports = {node: Port(node, node, "capture_MONO", output=True) for node in nodes}
    for names, other in ((FIRST, "rwc_mic.meeting"), (MEETING, "rwc_mic")):
        graph = Graph(nodes, ports, default_source=other, names=names)
        assert decide_input(graph, "default", names.client("rwc")).name == "usb"
        assert decide_input(graph, other, names.client("rwc")).name == other


def test_two_microphones_never_feed_each_other_in_a_circle() -> None:
    """The first hears the second: then the second cannot take the first, though it is told to."""
    nodes = {
        "1": node("1", "rwc_mic", virtual=True, kin=frozenset({"group a"})),
        "2": node("2", "rwc_mic.feed", "Stream/Input/Audio/Internal", kin=frozenset({"group a"})),
        "3": node("3", "rwc", ""),
        "4": node("4", "rwc_mic.b", virtual=True),
    }
    ports = {
        "11": Port("11", "1", "capture_MONO", output=True),
        "21": Port("21", "2", "input_MONO", output=False),
        "31": Port("31", "3", "input", output=False),
        "32": Port("32", "3", "output", output=True),
        "41": Port("41", "4", "capture_MONO", output=True),
    }
    links = {"51": Link("51", "41", "31"), "52": Link("52", "32", "21")}
    graph = Graph(nodes, ports, links, names=MicrophoneNames("b"))
    chosen = decide_input(graph, "rwc_mic", "rwc.b")
    assert chosen.node is None
    assert "hears RWC Mic" in chosen.note


class Beside:
    """The audio parts of one microphone; its engine plays `level` for ever."""

    def __init__(self, names: MicrophoneNames, level: float) -> None:
        self.names, self._level = names, level
        self.link = SharedRings.create()
        self.client = AudioClient(self.link, names.client("rwc"))
        self.watch = EitherGraph(lambda: None, names)
        self.watch.follow()
        self.microphone = Microphone(self.watch)
        self.tier = self.microphone.ensure()
        self.router = Router(self.watch, self.client)
        self.listeners = Listeners(self.watch, names.client("rwc"))
        self.link.set_playout(RATE // 2, RATE // 2 - 256)  # this test looks a few times a second
        self.link.set_wake(256)
        self.generation = self.link.new_generation()
        self.link.join(self.generation)

    def engage(self) -> None:
        self.client.open()
        self.router.engaged = True
        self.link.set_mode("convert")
        wait_for(lambda: self.router.reconcile() and bool(self.router.current), what="links settled")

    def plays(self) -> bool:
        while self.link.available() >= 256:
            self.link.read(256)
            self.link.write(np.full(256, self._level, np.float32))
        return True

    def close(self) -> None:
        self.client.close()
        self.microphone.stop()
        self.watch.stop()
        self.link.close()


def test_two_microphones_side_by_side(audio_session) -> None:  # noqa: F811
    """Each is recorded with its own sound; one that goes leaves the other, and nothing of itself."""
    first, meeting = Beside(FIRST, 0.25), Beside(MEETING, -0.5)
    try:
        assert first.tier == meeting.tier == "loopback"
        for one in (first, meeting):
            wait_for(lambda one=one: len(one.watch.graph().standbys) >= 1, what="its standby")
            assert all(node.name == one.names.node for node in one.watch.graph().standbys)
            one.engage()
            assert one.router.current == FAKE_MIC
        with Recorder("rwc_mic") as of_first, Recorder("rwc_mic.meeting") as of_meeting:
            for recorder, level in ((of_first, 0.25), (of_meeting, -0.5)):
                wait_for(
                    lambda recorder=recorder, level=level: (
                        first.plays()
                        and meeting.plays()
                        and bool(len(recorder.heard))
                        and abs(float(np.median(recorder.heard[-2000:, 0])) - level) < 0.02
                    ),
                    what=f"its own sound, {level}",
                )
            for one in (first, meeting):
                wait_for(lambda one=one: one.listeners.look() == 1, what="one listener")
        serial = first.watch.graph().microphone.serial
        meeting.client.close()
        meeting.microphone.stop()
        wait_for(lambda: meeting.watch.graph().microphone is None, what="it goes")
        wait_for(lambda: not meeting.watch.graph().standbys, what="its standby goes")
        assert first.watch.graph().microphone.serial == serial
        assert first.watch.graph().standbys
        assert sorted(name for name in os.listdir(own_folder()) if name.startswith("mic")) == ["mic.conf", "mic.pid"]
    finally:
        for one in (meeting, first):
            one.close()
