"""The programs of the graph: those RWC Mic depends on, each with an identity that a restart changes, and which nodes
belong together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rwc_daemon.audio.libjack import runtime_dir

SERVER, MANAGER = "server", "manager"


def note_program(programs: dict[str, tuple[str, str]], key: str, kind: str, item: dict[str, Any]) -> None:
    """What one object of pw-dump says of them: the server by its core's cookie, the session manager by the table of
    defaults that it keeps."""
    info, own = item.get("info") or {}, item.get("props") or {}
    found = {
        "Core": (SERVER, info.get("cookie")),
        "Metadata": (MANAGER, own.get("object.serial") if own.get("metadata.name") == "default" else None),
    }
    role, identity = found.get(kind, ("", None))
    if identity is not None:
        programs[key] = (role, str(identity))
    elif not kind or kind in found:
        programs.pop(key, None)


def kin_of(props: dict[str, Any]) -> frozenset[str]:
    """The client, group and link group: what enters one node of them may come out of another (a loopback, a filter).

    The nodes of a sound card share such things too, and a node that outlives its client keeps its number: not these.
    """
    if "device.id" in props:
        return frozenset()
    lingers = props.get("object.linger") or "pulse.module.id" in props
    keys = ("node.link-group", "node.group", *(() if lingers else ("client.id",)))
    return frozenset(f"{key} {props[key]}" for key in keys if key in props)


def pulse_server() -> str:
    """The process of the PulseAudio server (pipewire-pulse, or the real one), as it notes it; empty: there is none."""
    folder = Path(os.environ.get("PULSE_RUNTIME_PATH") or runtime_dir() / "pulse")
    try:
        return (folder / "pid").read_text().strip()
    except (OSError, ValueError):
        return ""
