"""The daemon's JACK clients in a real PipeWire: one while somebody records, none after, whatever libjack says."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_session import Session, running_daemon, session, until, until_state

from rwc_daemon.faces.dbus_client import SyncDaemon
from tests.faults.leaks import objects

PARTS = ("parec", "-d", "rwc_mic", "--latency-msec=20")


@pytest.fixture(scope="module")
def desktop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with session(tmp_path_factory.mktemp("session")) as it:
        yield it


@pytest.fixture
def process(desktop: Session) -> Iterator[subprocess.Popen[bytes]]:
    with running_daemon(desktop, "--foreground") as it:
        yield it


@pytest.fixture
def daemon(desktop: Session, process: subprocess.Popen[bytes]) -> Iterator[SyncDaemon]:
    with SyncDaemon.connect(address=desktop.bus) as it:
        until_state(it, "idle")
        yield it


def record_briefly(desktop: Session, seconds: float) -> None:
    recorder = desktop.spawn(*PARTS, stdout=subprocess.DEVNULL)
    time.sleep(seconds)
    recorder.kill()
    recorder.wait()


def states(desktop: Session, name: str) -> list[str]:
    """Of the nodes of that name."""
    dump = objects(desktop.run("pw-dump", "--no-colors"))
    infos = [item.get("info") or {} for item in dump if item["type"].endswith(":Node")]
    return [info["state"] for info in infos if (info.get("props") or {}).get("node.name") == name]


def descriptors(process: subprocess.Popen[bytes]) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def test_a_server_that_lives_is_not_believed_dead(desktop, process, daemon):
    """PipeWire 0.3.65's libjack says "shutdown" for any error of the core: here, ports that came and went while it
    could not look."""
    record_briefly(desktop, 0.3)
    until_state(daemon, "idle")
    until(lambda: not states(desktop, "rwc"))
    before = descriptors(process)
    for _ in range(2):
        recorder = desktop.spawn(*PARTS, stdout=subprocess.DEVNULL)
        until_state(daemon, "live")
        os.kill(process.pid, signal.SIGSTOP)
        for _ in range(3):
            record_briefly(desktop, 0.15)
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.1)
        recorder.kill()
        recorder.wait()
        until_state(daemon, "idle")
        until(lambda: not states(desktop, "rwc"))
    until(lambda: descriptors(process) == before)
    until(lambda: states(desktop, "fake_mic") != ["running"])


def test_quick_listeners_leave_nothing(desktop, process, daemon):
    record_briefly(desktop, 0.3)
    until(lambda: not states(desktop, "rwc"))
    before = descriptors(process)
    for number in range(30):
        record_briefly(desktop, 0.01 + 0.01 * (number * 7 % 20))
    until_state(daemon, "idle")
    until(lambda: not states(desktop, "rwc"))
    until(lambda: descriptors(process) == before)
    assert states(desktop, "fake_mic") != ["running"]
