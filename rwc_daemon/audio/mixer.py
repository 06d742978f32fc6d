"""What a mixer and a sound card say of a node, read from the server's objects: volume, mute, state, jack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

UNITY = 1.0
UNPLUGGED = "no"


@dataclass(frozen=True)
class Mixer:
    """What is between a node's own sound and who hears it."""

    volume: float = UNITY
    """Linear factor of the loudest channel."""
    channels: int = 1
    """How many have a volume of their own."""
    muted: bool = False
    state: str = ""
    """ "running", "idle", "suspended", "error", "creating"."""
    card: str = ""
    """Id of its sound card's object; empty: it has none."""
    port_of_card: int = -1
    """Which of the card's ends it is (card.profile.device)."""

    @property
    def percent(self) -> float:
        """As mixers show it, 0 … 100 and beyond: the cube root of the factor."""
        return 100 * float(max(0.0, self.volume) ** (1 / 3))


@dataclass(frozen=True)
class Jack:
    """The way into a sound card that is chosen now: an inner microphone, a plug."""

    port_of_card: int
    description: str
    available: str
    """ "yes", "no" (nothing is plugged in, or a switch is off) or "unknown"."""


def mixer_of(info: dict[str, Any]) -> Mixer:
    """Of a node's `info` in pw-dump; unity where it has no volume."""
    own = info.get("props") or {}
    state, card, port = str(info.get("state", "")), own.get("device.id"), own.get("card.profile.device")
    place = (state, str(card) if card is not None else "", int(port) if port is not None else -1)
    for props in (info.get("params") or {}).get("Props") or []:
        volumes = props.get("channelVolumes")
        if volumes:
            return Mixer(max(map(float, volumes)), len(volumes), bool(props.get("mute", False)), *place)
    return Mixer(UNITY, 1, False, *place)


def note_jacks(jacks: dict[str, tuple[Jack, ...]], key: str, kind: str, info: dict[str, Any] | None) -> None:
    """What one object of pw-dump says of a sound card's ways in."""
    if kind == "Device" and info:
        routes = (info.get("params") or {}).get("Route") or []
        jacks[key] = tuple(_jack(route) for route in routes if route.get("direction") == "Input")
    elif not info:
        jacks.pop(key, None)


def _jack(route: dict[str, Any]) -> Jack:
    end, available = int(route.get("device", -1)), str(route.get("available", "unknown"))
    return Jack(end, str(route.get("description", "")), available)
