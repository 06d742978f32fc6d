"""Ends that nobody asked for: what the daemon says of its own, and what the next one says of the one before."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.daemon_session import ROOT, Session, running_daemon, until

BROKEN = """
from rwc_daemon import __main__
from rwc_daemon.control.activity import Activity

def fail(self):
    raise ValueError("broken\\non purpose")

Activity._pause_s = fail
__main__.main(["--foreground"])
"""


def told(desktop: Session) -> dict[str, Any]:
    """What the running daemon says of the trouble before."""
    with SyncDaemon.connect(address=desktop.bus) as daemon:
        until(lambda: daemon.get("State") == "idle")
        return daemon.call("GetStatistics")


def on_a_terminal(desktop: Session, *command: str) -> tuple[int, str]:
    """Exit status and what the terminal showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=desktop.env, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while part := read(ours):
        shown += part
    os.close(ours)
    return process.wait(30), shown.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that nobody writes any more
        return b""


def test_an_error_of_our_own_is_one_line_and_known_to_the_next(desktop: Session) -> None:
    status, shown = on_a_terminal(desktop, sys.executable, "-c", BROKEN)
    assert status == 1
    lines = [line for line in shown.splitlines() if "broken" in line]
    assert "rwc-daemon ends by an error of its own (ValueError: broken on purpose)" in lines[0]
    assert "RWC_LOGGING_LEVEL=debug" in lines[0]
    assert "Traceback" not in shown
    with running_daemon(desktop):
        assert "ended by an error of its own (ValueError: broken on purpose)" in told(desktop)["last_fault_message"]


def test_a_killed_daemon_is_known_to_the_next_and_an_orderly_end_is_not(desktop: Session) -> None:
    with running_daemon(desktop):
        assert told(desktop)["last_fault_message"] == ""
    with running_daemon(desktop) as process:
        assert told(desktop)["last_fault_message"] == ""
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with running_daemon(desktop):
        figures = told(desktop)
        assert figures["last_fault_code"] == "Interrupted"
        assert "ended without being asked to" in figures["last_fault_message"]
        assert figures["fault_code"] == ""
        assert 0 < figures["last_fault_age_s"] < 60


def test_a_lost_bus_leaves_word(desktop: Session) -> None:
    with running_daemon(desktop) as process:
        desktop.kill("dbus-daemon")
        assert process.wait(30) == 1
    note = Path(desktop.env["XDG_RUNTIME_DIR"]) / "rwc/running"
    assert note.read_text().splitlines()[1] == "ended with the session bus"
