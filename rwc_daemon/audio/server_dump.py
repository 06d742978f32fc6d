"""One look at all that PipeWire's server knows, for what the followed graph does not keep: states and processes."""

from __future__ import annotations

import json
import subprocess
from typing import Any

TIMEOUT_S = 2.0
RUNNING = "running"

Objects = list[dict[str, Any]]


def server_objects() -> Objects:
    """Costs some 10 ms. Empty where no server answers; what is just going is left out."""
    try:
        done = subprocess.run(
            ["pw-dump", "--no-colors"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return []
    # where something changes meanwhile another array follows, and on a slow machine the first may be empty
    found: dict[int, dict[str, Any]] = {}
    rest, decoder = done.stdout.lstrip(), json.JSONDecoder()
    while rest:
        try:
            items, end = decoder.raw_decode(rest)
        except ValueError:
            break
        found |= {item["id"]: item for item in items}
        rest = rest[end:].lstrip()
    return [item for item in found.values() if "type" in item]


def nodes_of(objects: Objects, pid: int) -> set[str]:
    """Ids of the nodes of one process."""
    clients = {item["id"] for item in objects if _props(item).get("pipewire.sec.pid") == pid}
    return {str(item["id"]) for item in _nodes(objects) if _props(item).get("client.id") in clients}


def pid_of_node(objects: Objects, node: str) -> int:
    """The process that holds a node; 0 where none does."""
    client = next((_props(item).get("client.id") for item in _nodes(objects) if str(item["id"]) == node), None)
    found = next((_props(item).get("pipewire.sec.pid") for item in objects if item["id"] == client), None)
    return int(found) if found else 0


def states_of(objects: Objects) -> dict[str, str]:
    """Id → "running", "idle", "suspended", … of each node."""
    return {str(item["id"]): str((item.get("info") or {}).get("state", "")) for item in _nodes(objects)}


def _nodes(objects: Objects) -> Objects:
    return [item for item in objects if str(item["type"]).endswith(":Node")]


def _props(item: dict[str, Any]) -> dict[str, Any]:
    return (item.get("info") or {}).get("props") or {}
