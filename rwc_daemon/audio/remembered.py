"""What the session manager remembers of a program: on which microphone its user put it by hand.

A mixer's move is remembered by name, and given to the program's next recording as the number of the node that bears
that name now. Where that node goes while no daemon runs, the number means nothing, and the recording is on the default
source: the unprocessed microphone. What the session manager has saved still says where it belongs.

WirePlumber 0.4 saves a line for each value (`restore-stream`), 0.5 a JSON object for each program
(`stream-properties`); both are key files, one line an entry.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CAPTURE = "Stream/Input/Audio"
KEYS = ("media.role", "application.id", "application.name", "media.name", "node.name")
# the first that a stream has tells its program from others
ESCAPES = {"\\": "\\\\", " ": "\\s", "=": "\\e", "[": "\\o", "]": "\\c"}


def memory_key(props: Mapping[str, Any]) -> str:
    """Under which a stream that records is remembered; empty: it is none."""
    if props.get("media.class") != CAPTURE:
        return ""
    kind = CAPTURE.partition("/")[2]
    return next((f"{kind}:{key}:{props[key]}" for key in KEYS if key in props), "")


def belongs_here(key: str, microphone: str) -> bool:
    """Whether its user put that program on the microphone of that node.name, and on no other microphone since."""
    name = "".join(ESCAPES.get(letter, letter) for letter in key)
    return f"{name}:target={microphone}" in _lines("restore-stream") or any(
        _target(line.removeprefix(f"{name}=")) == microphone
        for line in _lines("stream-properties")
        if line.startswith(f"{name}=")
    )


def _target(value: str) -> str:
    try:
        saved = json.loads(value)
    except ValueError:
        return ""
    return str(saved.get("target", "")) if isinstance(saved, dict) else ""


def _lines(name: str) -> list[str]:
    """Of one of its files; none where it cannot be read."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    try:
        return (home / "wireplumber" / name).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
