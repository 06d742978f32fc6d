"""What the checks of the doctor are told, and what they say."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GOOD, NOTE, BAD = "good", "note", "bad"
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    part: str
    """What was looked at."""
    state: str
    """ "good", "note" (works, but know it) or "bad" (stops RWC Mic)."""
    text: str
    """What was found."""
    fix: str = ""
    """What to do about it."""
    fix_command: tuple[str, ...] = ()
    """A command that does it and may be run unasked: `rwcctl doctor --fix` runs it."""


@dataclass(frozen=True)
class Asked:
    """What the face knows about the daemon."""

    running: bool
    why_not: str = ""
    """The error's one line, where it does not run."""
    properties: Mapping[str, Any] | None = None
    statistics: Mapping[str, Any] | None = None

    def get(self, key: str, otherwise: Any = None) -> Any:
        """A property (`State`) or a figure (`rate_hz`)."""
        return (self.properties or {}).get(key, (self.statistics or {}).get(key, otherwise))


def answer(*command: str, timeout_s: float = PATIENCE_S) -> str | None:
    """What a program prints, or None where it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
