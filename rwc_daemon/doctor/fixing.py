"""`rwcctl doctor --fix`: runs what the doctor's findings offer, and waits until it shows."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rwc_daemon.doctor.finding import BAD, GOOD, Finding

COMMAND_S = 60.0
SHOWS_S = 12.0  # servers that were restarted are back, and the daemon has seen it
PAUSE_S = 1.0


@dataclass(frozen=True)
class Fixed:
    """One command that was run."""

    part: str
    command: tuple[str, ...]
    ok: bool
    said: str
    """Its last line, where it failed."""


def offered(findings: list[Finding]) -> dict[tuple[str, ...], str]:
    """The commands, each once, with the part that it is for."""
    return {finding.fix_command: finding.part for finding in findings if finding.fix_command and finding.state != GOOD}


def fix(findings: list[Finding]) -> Iterator[Fixed]:
    """Runs one after the other; each is told when it has ended."""
    for command, part in offered(findings).items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_S)
        except (OSError, subprocess.TimeoutExpired) as failed:
            yield Fixed(part, command, False, str(failed))
        else:
            lines = (done.stderr or done.stdout).strip().splitlines()
            yield Fixed(part, command, done.returncode == 0, lines[-1] if done.returncode and lines else "")


def look_again(examine: Callable[[], list[Finding]], fixed: list[Fixed]) -> list[Finding]:
    """The report once what was fixed is well, or after a while in any case."""
    parts = {done.part for done in fixed}
    end_s = time.monotonic() + SHOWS_S
    while True:
        time.sleep(PAUSE_S)
        findings = examine()
        if time.monotonic() > end_s or not any(f.part in parts and f.state == BAD for f in findings):
            return findings
