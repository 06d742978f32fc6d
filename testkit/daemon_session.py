"""The real daemon in a private desktop-like session (tools/session): real PipeWire, real bus, real engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rwc_daemon.faces.dbus_client import SyncDaemon

ROOT = Path(__file__).parents[1]
DEADLINE_S = 60.0


class Session:
    """A started session; `env` is what its programs see."""

    def __init__(self, folder: Path, quantum: int = 256) -> None:
        self._folder = folder
        self._tool("start", "--mic", "--quantum", str(quantum), "--private")
        lines = self._tool("run", "env").stdout.splitlines()
        self.env = dict(line.split("=", 1) for line in lines if "=" in line)

    def _tool(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / "tools/session"), verb, "--dir", str(self._folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done

    def restart(self, server: str) -> None:
        self._tool("restart", server)

    def kill(self, server: str) -> None:
        self._tool("kill", server)

    def stop(self) -> None:
        self._tool("stop")

    def run(self, *command: str) -> str:
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    def spawn(self, *command: str, **options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=self.env, **options)  # type: ignore[call-overload]

    @property
    def bus(self) -> str:
        return self.env["DBUS_SESSION_BUS_ADDRESS"]


@contextmanager
def session(folder: Path, quantum: int = 256) -> Iterator[Session]:
    it = Session(folder, quantum)
    try:
        yield it
    finally:
        it.stop()


@contextmanager
def running_daemon(session: Session, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """rwc-daemon, up to its name on the bus; stopped by SIGTERM."""
    command = [sys.executable, "-m", "rwc_daemon", *arguments]
    process = subprocess.Popen(command, env={**session.env, **environment}, cwd=ROOT)
    try:
        until(lambda: "org.rwc.Daemon1" in session.run("busctl", f"--address={session.bus}", "list", "--acquired"))
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def until(what: Callable[[], bool], deadline_s: float = DEADLINE_S) -> float:
    """Seconds that it took; fails after the deadline."""
    begin = time.monotonic()
    while not what():
        assert time.monotonic() - begin < deadline_s, "it did not come true in time"
        time.sleep(0.02)
    return time.monotonic() - begin


def until_state(daemon: SyncDaemon, state: str) -> float:
    return until(lambda: daemon.get("State") == state)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_s(pid: int) -> float:
    """User and system time of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wakeups(pid: int) -> int:
    """How often threads of a process have gone to sleep by themselves and were woken."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    lines = [line for task in tasks for line in (task / "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
