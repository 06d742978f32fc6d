"""Clients of ours that nobody holds any more are destroyed in the server; the open one and other programs' stay."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rwc_daemon.audio.client import AudioClient
from rwc_daemon.audio.graph import PipeWireGraph
from rwc_daemon.audio.programs import SERVER
from rwc_daemon.audio.strays import Strays
from rwc_daemon.link.ring import SharedRings
from testkit.harness.fixtures import audio_session  # noqa: F401
from testkit.harness.session import wait_for

# libjack crashes when it closes a client that was destroyed, so the stray is a process that never does
STRAY = """
import sys, time
from rwc_daemon.audio import libjack
client = libjack.load().module.Client("rwc")
client.activate()
time.sleep(60)
"""


@pytest.mark.parametrize("opened", [False, True])
def test_what_is_too_much_is_destroyed(audio_session, opened):  # noqa: F811
    graph, link = PipeWireGraph(), SharedRings.create()
    graph.start()
    client = AudioClient(link)
    stray = subprocess.Popen([sys.executable, "-c", STRAY])
    wait_for(lambda: named_rwc(graph) == 1, 20, what="the stray")
    if opened:
        client.open()
        wait_for(lambda: named_rwc(graph) == 2, what="both clients")
    strays = Strays(graph, client, patience_s=0.1, pid=stray.pid)
    wait_for(strays.remove, what="one too many found")
    wait_for(lambda: named_rwc(graph) == int(opened), what="only the open one")
    assert strays.remove() == 0
    if opened:
        assert client.alive()
        client.close()
    stray.kill()
    stray.wait()
    graph.stop()
    link.close()


def test_another_program_of_that_name_is_left_alone(audio_session):  # noqa: F811
    graph, link = PipeWireGraph(), SharedRings.create()
    graph.start()
    other = subprocess.Popen([sys.executable, "-c", STRAY])
    wait_for(lambda: named_rwc(graph) == 1, 20, what="the other program")
    strays = Strays(graph, AudioClient(link), patience_s=0.0)
    assert [strays.remove() for _ in range(3)] == [0, 0, 0]
    assert named_rwc(graph) == 1
    other.kill()
    other.wait()
    graph.stop()
    link.close()


def test_a_client_opened_before_the_graph_was_read_is_not_taken_for_one_of_a_dead_server(audio_session):  # noqa: F811
    graph, link = PipeWireGraph(), SharedRings.create()
    graph.start()
    wait_for(lambda: graph.graph().identity(SERVER), 20, what="the server's identity")
    client = AudioClient(link)
    client.open()
    client.identity = lambda: graph.graph().identity(SERVER)
    client._shut_down.set()  # as libjack 0.3.65 says for any error of the core
    client.close()
    wait_for(lambda: client.close_left_behind() or not named_rwc(graph), 20, what="nothing of ours")
    wait_for(lambda: not named_rwc(graph), 20, what="nothing of ours")
    graph.stop()
    link.close()


def named_rwc(graph: PipeWireGraph) -> int:
    return sum(node.name == "rwc" for node in graph.graph().nodes.values())
