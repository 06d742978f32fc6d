"""A real daemon in a private audio session, for tests that touch it as a user does."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SESSION = ROOT / "tools" / "session"
READY_S = 30.0
COMMANDS = {
    "rwcctl": [sys.executable, "-m", "rwc_daemon.faces.cli.main"],
    "rwc-daemon": [sys.executable, "-m", "rwc_daemon"],
}


@dataclass
class Running:
    """The session and how one enters it."""

    folder: Path

    def enter(self, command: str, *words: str) -> list[str]:
        """The whole command line; `rwcctl` and `rwc-daemon` are those of this checkout."""
        start = COMMANDS.get(command, [command])
        return [str(SESSION), "run", "--dir", str(self.folder), "env", f"PYTHONPATH={ROOT}", *start, *words]

    def run(self, command: str, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.enter(command, *words), capture_output=True, text=True, check=False, timeout=timeout_s
        )

    def rwcctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("rwcctl", *words)

    def json(self, *words: str) -> Any:
        """What a command answers with --json; it must succeed."""
        done = self.rwcctl(*words, "--json")
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return json.loads(done.stdout)


@contextmanager
def running_daemon(
    folder: Path, quantum: int = 256, microphone: str = "1", prepare: Callable[[Running], None] = lambda running: None
) -> Iterator[Running]:
    """Starts session and daemon, waits until it is ready, ends both. The log is `folder/daemon.log`. `prepare` may put
    settings and voices into the session's folders before the daemon starts."""
    # not pytest's own folder: a socket's path has at most 107 characters
    running = Running(Path(tempfile.mkdtemp(prefix="rwc-")) / "s")
    options = ["--dir", str(running.folder), "--private", "--quantum", str(quantum), "--mic", microphone]
    subprocess.run([SESSION, "start", *options], check=True, timeout=60)
    try:
        prepare(running)
        with (folder / "daemon.log").open("w") as log, daemon_process(running, log) as process:
            wait_until_ready(running, process, folder / "daemon.log")
            yield running
    finally:
        subprocess.run([SESSION, "stop", "--dir", str(running.folder)], check=True, timeout=60)
        running.folder.parent.rmdir()


@contextmanager
def daemon_process(running: Running, log: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(running.enter("rwc-daemon", "--foreground"), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            process.kill()
            process.wait()


def wait_until_ready(running: Running, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        done = running.rwcctl("status", "--json")
        if done.returncode == 0:
            report = json.loads(done.stdout)
            if report["state"] in ("idle", "live") and report["voice"] and report["microphone"]:
                return
        time.sleep(0.1)
    raise AssertionError(f"not ready after {READY_S} s:\n{done.stdout}{done.stderr}\n{log.read_text()}")
