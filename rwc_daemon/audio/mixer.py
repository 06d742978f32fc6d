"""What a mixer does to a node, read from the server's objects: its volume and its mute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

UNITY = 1.0


@dataclass(frozen=True)
class Mixer:
    """The mixer's controls of one node."""

    volume: float = UNITY
    # linear factor of the loudest channel
    channels: int = 1
    # how many have a volume of their own
    muted: bool = False

    @property
    def percent(self) -> float:
        """As mixers show it, 0 … 100 and beyond: the cube root of the factor."""
        return 100 * float(max(0.0, self.volume) ** (1 / 3))


def mixer_of(info: dict[str, Any]) -> Mixer:
    """Of a node's `info` in pw-dump; unity where it has no volume."""
    for props in (info.get("params") or {}).get("Props") or []:
        volumes = props.get("channelVolumes")
        if volumes:
            return Mixer(max(map(float, volumes)), len(volumes), bool(props.get("mute", False)))
    return Mixer()
