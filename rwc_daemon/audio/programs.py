"""The programs that RWC Mic depends on, as PipeWire's registry shows them: so that a restart of one is noticed."""

from __future__ import annotations

from typing import Any

SERVER, MANAGER, PULSE = "server", "manager", "pulse"


def note_program(programs: dict[str, tuple[str, str]], key: str, kind: str, item: dict[str, Any]) -> None:
    """What one object of pw-dump says of them: the server by its core's cookie, the session manager by the table of
    defaults that it keeps, the PulseAudio server by its configuration, which its clients carry too, beside the name of
    their protocol."""
    info, own = item.get("info") or {}, item.get("props") or {}
    props = info.get("props") or {}
    found = {
        "Core": (SERVER, info.get("cookie")),
        "Metadata": (MANAGER, own.get("object.serial") if own.get("metadata.name") == "default" else None),
        "Client": (PULSE, props.get("object.serial") if _is_pulse_server(props) else None),
    }
    role, identity = found.get(kind, ("", None))
    if identity is not None:
        programs[key] = (role, str(identity))
    elif not kind or kind in found:
        programs.pop(key, None)


def _is_pulse_server(props: dict[str, Any]) -> bool:
    return str(props.get("config.name", "")).endswith("pipewire-pulse.conf") and "client.api" not in props
