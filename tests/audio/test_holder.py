"""The holder of a session without systemd: it outlives the daemon, and goes with its server."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from rwc_daemon.audio import microphone
from testkit.harness.fixtures import audio_session  # noqa: F401
from testkit.harness.session import wait_for

# a daemon that makes RWC Mic and is killed
MAKE = """
import os, signal
from rwc_daemon.audio.graph import PipeWireGraph
from rwc_daemon.audio.microphone import Microphone
graph = PipeWireGraph()
graph.start()
assert Microphone(graph).ensure() == "loopback"
os.kill(os.getpid(), signal.SIGKILL)
"""


def lives(pid: int) -> bool:
    """And is no zombie that nobody reaps."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_outlives_a_killed_daemon_but_not_its_server(audio_session):  # noqa: F811
    done = subprocess.run([sys.executable, "-c", MAKE], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    pid = int((microphone.own_folder() / "mic.pid").read_text())
    assert microphone.holder_lives()
    assert "rwc_mic" in audio_session.run("pactl", "list", "short", "sources")
    audio_session.tool("kill", "pipewire")
    wait_for(lambda: not lives(pid), what="the holder's end")
    assert not microphone.holder_lives()
