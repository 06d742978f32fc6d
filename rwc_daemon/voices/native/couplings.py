"""The couplings of a flow as one native call (couplings.c), where their convolutions run on the matrix unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rwc_daemon.voices.native._native import ffi, lib
from rwc_daemon.voices.native.products import address, alike, thread_pool, watched

MOST_GATED = lib.rwc_flow_most_gated()
MOST_ROWS = 1024  # that are worth it: in longer sounds others share the work better


class Gated(NamedTuple):
    """One coupling's convolutions as they were packed: `into` and `onward` of each gated layer."""

    pre: Any
    into: Sequence[Any]
    onward: Sequence[Any]
    post: Any


@dataclass(frozen=True, eq=False)
class Couplings:
    """Of one flow; x is bfloat16."""

    channels: int
    conditions: int
    """Numbers that a call is given for the speaker: in all layers, both halves of the gate."""
    flow: Any
    """For couplings.c."""
    kept: tuple[Any, ...]
    """What `flow` points to."""

    @classmethod
    def of(cls, couplings: Sequence[Gated]) -> Couplings | None:
        """In the order in which they run, each behind a flip. None where these cannot run so."""
        products = [one for c in couplings for one in (c.pre, *c.into, *c.onward, c.post)]
        if not alike(products) or any(one.rows(one.into) != 1 for one in products):
            return None
        first = couplings[0]
        half, width, layers = first.pre.into, first.pre.out, len(first.into)
        both, last = (width, 2 * width), (width, width)
        wanted = [(half, width), *[both] * layers, *[both] * (layers - 1), last, (width, half)] * len(couplings)
        if layers > MOST_GATED or [(one.into, one.out) for one in products] != wanted:
            return None
        made = ffi.new("rwc_coupling[]", [_coupling(one) for one in couplings])
        flow = ffi.new("rwc_flow *", (made, len(couplings), layers))
        return cls(2 * half, len(couplings) * layers * 2 * width, flow, (products, made))

    def takes(self, x: Tensor) -> bool:
        """[B, C, n]: one sound, not too long."""
        return len(x) == 1 and x.shape[1] == self.channels and x.shape[2] <= MOST_ROWS

    def __call__(self, x: Tensor, conditions: Tensor) -> Tensor:
        """[1, C, n] → the same; `conditions`: as many numbers as they want."""
        return watched(couple, self, x, conditions)


def couple(f: Couplings, x: Tensor, conditions: Tensor) -> Tensor:
    if x.dtype != torch.bfloat16 or not f.takes(x) or conditions.numel() != f.conditions:
        raise TypeError(f"x is {x.dtype}, {tuple(x.shape)}, the conditions {tuple(conditions.shape)}")
    y, given = x.mT.clone(memory_format=torch.contiguous_format), conditions.float().contiguous()
    rows = y.shape[1]
    scratch = torch.empty(lib.rwc_flow_scratch(f.flow, rows), dtype=torch.bfloat16)
    lib.rwc_flow_run(f.flow, address(y), address(given), rows, address(scratch), torch.get_num_threads(), thread_pool())
    return y.mT


def _coupling(one: Gated) -> tuple[Any, ...]:
    into, onward = ([layer.layer for layer in layers] for layers in (one.into, one.onward))
    return one.pre.layer, into, onward, one.post.layer
