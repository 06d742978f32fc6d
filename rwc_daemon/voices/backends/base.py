"""What a backend is: a way to run single layers of a net, or several of them as one call.

A backend is one module and one row of `table.BACKENDS`; without its row everything runs as before on the others, and
without any as plain torch. It may decline any layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from rwc_daemon.voices.layers import Conv, Dense, PackedLayer, Up

Layer = Conv | Up | Dense


class Deviation(IntEnum):
    """How far a backend's answers may lie from plain torch's in the same precision. `tests/voices/backends` holds each
    backend to the limit of its class."""

    EXACT = 0
    """The same bits."""
    ROUNDING = 1
    """The same sums in another order, or rounded elsewhere: 1e-4 of the answer in float32, half a step in bfloat16."""
    LOSSY = 2
    """Numbers of fewer bits than the net has: 3 % of the answer."""


class Backend:
    """One way to run layers on the CPU."""

    name: str
    deviation: Deviation
    fuses = False
    """Whether it runs several layers as one call."""

    def pack(self, layer: Layer) -> PackedLayer | None:
        """The layer in the order that this backend wants; None where it does not take it, or not on this machine."""
        raise NotImplementedError

    def fuse(self, kind: str, parts: Mapping[str, Any]) -> Any:
        """One call for several layers that this backend has packed, or None; `kind` and `parts`: see
        `choice.Fusable`."""
        return None
