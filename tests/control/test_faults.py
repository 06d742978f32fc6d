"""What the user is told: once per trouble, in the right words, for as long as it is worth a word."""

from __future__ import annotations

import logging

import pytest

from rwc_daemon.audio.graph import Graph, Node, changed
from rwc_daemon.audio.programs import MANAGER, SERVER
from rwc_daemon.control.dependencies import HOLDER, PULSE, SENTENCES, SETTLED_S, Dependencies
from rwc_daemon.control.faults import RECENT_S, Fault, Faults
from rwc_daemon.control.outage import GONE, PATIENCE_S, Outage
from rwc_daemon.control.watchdog import Pause
from rwc_daemon.errors import NoAudioServer


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def faults(clock: Clock, told: list[str]) -> Faults:
    return Faults(lambda fault: told.append(fault.message), clock)


def test_a_standing_fault_becomes_the_last_one_and_is_forgotten(
    faults: Faults, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    faults.begin("engine", "EngineFailed", "it died")
    assert faults.shown == Fault("EngineFailed", "it died")
    assert faults.past() == (Fault(), 0.0)
    clock.now_s += 4
    faults.end("engine")
    assert not faults
    assert caplog.messages[-1] == "over after 4.0 s: it died"
    clock.now_s += 12
    assert faults.past() == (Fault("EngineFailed", "it died"), 12)
    clock.now_s += RECENT_S
    assert faults.past() == (Fault(), 0.0)


def test_a_fault_is_told_once_and_again_when_its_words_change(faults: Faults, clock: Clock, told: list[str]) -> None:
    for words in ("away", "away", "still away"):
        faults.begin("audio", "NoAudioServer", words)
        clock.now_s += 1
    assert told == ["away", "still away"]
    faults.end("audio")
    faults.end("audio")
    faults.happened("BadModel", "no voice")
    assert told[-1] == "no voice"
    assert faults.past() == (Fault("BadModel", "no voice"), 0.0)


def test_a_restarted_server_is_not_said_to_be_missing(faults: Faults, clock: Clock, told: list[str]) -> None:
    outage, missing = Outage(faults, clock), NoAudioServer("start one")
    outage.goes_on(missing)
    assert told == ["start one"], "there was none to begin with"
    assert not outage.swept_away("A")
    outage.ends(proven=True)
    assert not faults
    assert outage.swept_away("")
    for _ in range(3):
        outage.goes_on(missing)
        clock.now_s += PATIENCE_S / 2
    assert told == ["start one", GONE, "start one"]
    assert not outage.swept_away("B")
    outage.ends(proven=False)
    assert faults
    assert outage.swept_away("C")


def seen(node: str = "7", server: str = "cookie", manager: str = "36", pulse: str = "53") -> tuple[Graph, str]:
    """The graph and the PulseAudio server at one look."""
    mic = Node(node, node, "rwc_mic", "RWC Mic", "Audio/Source", False, False, 0)
    programs = {role: (role, who) for role, who in ((SERVER, server), (MANAGER, manager)) if who}
    return Graph(nodes={node: mic} if node else {}, programs=programs), pulse


@pytest.mark.parametrize(
    ("after", "roles"),
    [
        ({}, []),
        ({"node": "9"}, [HOLDER]),
        ({"pulse": "60"}, [PULSE]),
        ({"pulse": ""}, [PULSE]),
        ({"manager": "60"}, [MANAGER]),
        ({"node": "9", "server": "other", "pulse": ""}, []),
    ],
)
def test_neighbours_that_were_started_anew(
    faults: Faults, clock: Clock, told: list[str], after: dict[str, str], roles: list[str]
) -> None:
    dependencies = Dependencies(faults, clock)
    dependencies.look(Graph(), "")
    dependencies.look(*seen())
    for _ in range(4):
        dependencies.look(*seen(**after))
        clock.now_s += SETTLED_S
    assert told == [SENTENCES[role] for role in roles]
    assert not dependencies.unsettled


def test_a_server_restart_is_not_blamed_on_those_it_took_along(faults: Faults, clock: Clock, told: list[str]) -> None:
    dependencies = Dependencies(faults, clock)
    dependencies.look(*seen())
    for step in ({"pulse": ""}, {"server": "", "manager": "", "pulse": ""}, {"server": "other", "manager": "40"}):
        dependencies.look(*seen(node="", **step))
        clock.now_s += SETTLED_S / 3
    clock.now_s += SETTLED_S
    for _ in range(4):
        dependencies.look(*seen(node="8", server="other", manager="40", pulse="50"))
        clock.now_s += SETTLED_S
    assert told == []


def test_programs_are_known_by_what_the_registry_says() -> None:
    batch = [
        {"id": 0, "type": "PipeWire:Interface:Core", "info": {"cookie": 36136}},
        {"id": 34, "type": "PipeWire:Interface:Metadata", "props": {"metadata.name": "default", "object.serial": 36}},
        {"id": 35, "type": "PipeWire:Interface:Metadata", "props": {"metadata.name": "settings", "object.serial": 31}},
    ]
    graph = changed(Graph(), batch)
    assert [graph.identity(role) for role in (SERVER, MANAGER)] == ["36136", "36"]
    graph = changed(graph, [{"id": 34, "info": None}])
    assert [graph.identity(role) for role in (SERVER, MANAGER)] == ["36136", ""]


@pytest.mark.parametrize(
    ("ran_s", "passed_s", "words"),
    [(1.2, 1.2, ""), (8.0, 8.0, "stood still for 7 s"), (1.1, 61.1, "slept for 60 s")],
)
def test_standing_still_and_sleeping_are_told_apart(ran_s: float, passed_s: float, words: str) -> None:
    running, passing = iter((10.0, 10.0 + ran_s)), iter((50.0, 50.0 + passed_s))
    said = Pause(lambda: next(running), lambda: next(passing)).overslept(1.0)
    assert words in said
    assert bool(said) == bool(words)
