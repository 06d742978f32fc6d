"""What `systemd-analyze security` says of the units of this project, offline, so that no manager need run."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

UNITS = Path(__file__).parents[1] / "systemd"
NAMES = ("rwc-daemon.service", "rwc-mic.service")
FILLED = {"@DAEMON@": "/bin/true", "@PIPEWIRE@": "/bin/true", "@HOLDER_CONFIG@": "/dev/null"}


@dataclass(frozen=True)
class Exposure:
    """One unit as systemd sees it."""

    score: float
    """0 (safe) to 10."""
    off: dict[str, float]
    """Options that are not on → what each adds to the score."""


def exposure(name: str) -> Exposure:
    text = (UNITS / name).read_text()
    for placeholder, value in FILLED.items():
        text = text.replace(placeholder, value)
    with tempfile.TemporaryDirectory() as folder:
        unit = Path(folder, name)
        unit.write_text(text)
        answer = json.loads(_analyzed(unit, "--json=short"))
        words = _analyzed(unit).split("Overall exposure level for ")[1]
    off = {one["name"]: float(one["exposure"]) for one in answer if one["set"] is False}
    return Exposure(score=float(words.split()[1]), off=off)


def _analyzed(unit: Path, *options: str) -> str:
    command = ["systemd-analyze", "security", "--user", "--offline=yes", "--no-pager", *options, str(unit)]
    environment = os.environ | {"XDG_RUNTIME_DIR": str(unit.parent)}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60).stdout


def options_on(name: str) -> list[str]:
    """The hardening lines of the unit file itself, in its order."""
    lines = (UNITS / name).read_text().partition("# What holds in a user unit")[2].splitlines()[1:]
    return [line for line in lines if line and not line.startswith(("#", "[", "WantedBy="))]
