"""One layer of a post-norm transformer as one native call (encoder.c), where its products run on the matrix unit.

x = norm_1( x + out( attention( qkv(x) ) ) )        x = norm_2( x + down( act( up(x) ) ) )
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rwc_daemon.voices.native._native import ffi, lib
from rwc_daemon.voices.native.products import ACTS, address, alike, floats, thread_pool, watched

MOST_ROWS = lib.rwc_encoder_most_rows()


@dataclass(frozen=True, eq=False)
class Norm:
    """A layer norm over channels: scale and shift, [H]."""

    scale: Tensor
    shift: Tensor


@dataclass(frozen=True, eq=False)
class Near:
    """What attention knows of how far apart two rows are: keys and values, [2 * reach + 1, channels of a head]."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True, eq=False)
class Encoder:
    """One layer; x is bfloat16."""

    width: int
    layer: Any
    """For encoder.c."""
    kept: tuple[Any, ...]
    """What `layer` points to."""

    @classmethod
    def of(
        cls, products: Sequence[Any], norms: Sequence[Norm], heads: int, act: str, near: Near | None = None
    ) -> Encoder | None:
        """`products`: qkv, out, up and down as they were packed; `norms`: both. None where these cannot run so."""
        reach = 0 if near is None else len(near.keys) // 2
        if not alike(products) or any(one.rows(MOST_ROWS * one.into) != MOST_ROWS for one in products):
            return None
        width, inner = products[0].into, products[2].out
        sizes = [(one.into, one.out) for one in products]
        if sizes != [(width, 3 * width), (width, width), (width, inner), (inner, width)]:
            return None
        if not lib.rwc_encoder_fits(width, heads, reach):
            return None
        kept, scales = floats(one for norm in norms for one in (norm.scale, norm.shift))
        tables, nearness = floats([] if near is None else [near.keys, near.values])
        layers = (one.layer for one in products)
        nearness = nearness or [ffi.NULL, ffi.NULL]
        layer = ffi.new("rwc_encoder *", (*layers, scales, *nearness, heads, reach, ACTS[act]))
        return cls(width, layer, (products, kept, tables))

    def takes(self, x: Tensor) -> bool:
        """[B, n, H]: one sound, not too long."""
        return len(x) == 1 and x.shape[1] <= MOST_ROWS and x.shape[2] == self.width

    def __call__(self, x: Tensor) -> Tensor:
        """[1, n, H] → the same."""
        return watched(encode, self, x)


def encode(e: Encoder, x: Tensor) -> Tensor:
    if x.dtype != torch.bfloat16 or not e.takes(x):
        raise TypeError(f"x is {x.dtype}, {tuple(x.shape)}")
    y = x.clone(memory_format=torch.contiguous_format)
    rows = x.shape[1]
    scratch = torch.empty(lib.rwc_encoder_scratch(e.layer, rows), dtype=torch.bfloat16)
    lib.rwc_encoder_run(e.layer, address(y), rows, address(scratch), torch.get_num_threads(), thread_pool())
    return y
