"""The convolution module of a conformer as one native call (conformer.c), where its products run on the matrix unit.

y = x + down( silu( depthwise( a * sigmoid(b) ) ) )        a | b = up( norm(x) )
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rwc_daemon.voices.native._native import ffi, lib
from rwc_daemon.voices.native.encoder import Norm
from rwc_daemon.voices.native.products import address, alike, floats, thread_pool, watched

MOST_ROWS = 1024  # that are worth it: in longer sounds others share the work better


@dataclass(frozen=True, eq=False)
class Conformer:
    """One module; x is bfloat16."""

    width: int
    layer: Any
    """For conformer.c."""
    kept: tuple[Any, ...]
    """What `layer` points to."""

    @classmethod
    def of(cls, up: Any, taps: Tensor, bias: Tensor, down: Any, norm: Norm) -> Conformer | None:
        """`up` and `down` as they were packed, `taps` [inner, kernel] of the depthwise convolution, `bias` [inner].
        None where it cannot run so."""
        inner, kernel = taps.shape
        if not alike((up, down)) or kernel % 2 == 0:
            return None
        if (up.out, down.into, down.out) != (2 * inner, inner, up.into) or (up.taps, down.taps) != (1, 1):
            return None
        kept, (scale, shift, *slid) = floats((norm.scale, norm.shift, taps.mT, bias))
        layer = ffi.new("rwc_conformer *", (up.layer, down.layer, (scale, shift), *slid, kernel))
        return cls(up.into, layer, (up, down, kept))

    def takes(self, x: Tensor) -> bool:
        """[B, n, C]: one sound, not too long."""
        return len(x) == 1 and x.shape[1] <= MOST_ROWS and x.shape[2] == self.width

    def __call__(self, x: Tensor) -> Tensor:
        """[1, n, C] → the same."""
        return watched(conform, self, x)


def conform(f: Conformer, x: Tensor) -> Tensor:
    if x.dtype != torch.bfloat16 or not f.takes(x):
        raise TypeError(f"x is {x.dtype}, {tuple(x.shape)}")
    x = x.contiguous()
    y, rows = torch.empty_like(x), x.shape[1]
    scratch = torch.empty(lib.rwc_conformer_scratch(f.layer, rows), dtype=torch.bfloat16)
    lib.rwc_conformer_run(
        f.layer, address(x), address(y), rows, address(scratch), torch.get_num_threads(), thread_pool()
    )
    return y
