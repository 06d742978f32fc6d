"""What a check of the doctor says."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

GOOD, NOTE, BAD = "good", "note", "bad"
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    part: str
    # what was looked at
    state: str
    # "good", "note" (works, but know it) or "bad" (stops RWC Mic)
    text: str
    # what was found
    mend: str = ""
    # what to do about it


def answer(*command: str, timeout_s: float = PATIENCE_S) -> str | None:
    """What a program prints, or None where it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
