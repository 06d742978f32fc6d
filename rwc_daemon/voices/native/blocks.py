"""The residual blocks of one stage of a decoder as one native call (blocks.c), where its convolutions run on the matrix
unit. The answer is the leaky ReLU of the blocks' mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rwc_daemon.voices.native._native import ffi, lib
from rwc_daemon.voices.native.products import address, alike, thread_pool, watched


@dataclass(frozen=True, eq=False)
class Blocks:
    """Of one stage; signals are bfloat16."""

    width: int
    blocks: Any
    """For blocks.c."""
    kept: tuple[Any, ...]
    """What `blocks` points to."""

    @classmethod
    def of(cls, blocks: Sequence[Sequence[Sequence[Any]]], slope: float) -> Blocks | None:
        """Blocks of steps of one convolution, or two, as they were packed; `slope` of the leaky ReLUs within. None
        where these cannot run so."""
        products = [one for steps in blocks for step in steps for one in step]
        if not alike(products):
            return None
        width, steps, convolutions = products[0].into, len(blocks[0]), len(blocks[0][0])
        uniform = all(len(step) == convolutions for block in blocks for step in block)
        uniform = uniform and all(len(block) == steps for block in blocks)
        if not uniform or any((one.into, one.out, one.rows(width)) != (width, width, 1) for one in products):
            return None
        layers = ffi.new("rwc_layer *[]", [one.layer for one in products])
        made = ffi.new("rwc_blocks *", (layers, len(blocks), steps, convolutions, slope))
        return cls(width, made, (products, layers))

    def takes(self, x: Tensor) -> bool:
        """[B, C, 1, N]: one sound."""
        return len(x) == 1 and x.shape[1] == self.width

    def __call__(self, x: Tensor, slope: float) -> Tensor:
        """[1, C, 1, N] → the same; `slope` of the leaky ReLU behind the mean."""
        return watched(run, self, x, slope)


def run(b: Blocks, x: Tensor, slope: float) -> Tensor:
    if x.dtype != torch.bfloat16 or not b.takes(x):
        raise TypeError(f"x is {x.dtype}, {tuple(x.shape)}")
    x = x.contiguous(memory_format=torch.channels_last)
    y, rows = torch.empty_like(x, memory_format=torch.channels_last), x.shape[-1]
    scratch = torch.empty(lib.rwc_blocks_scratch(b.blocks, rows), dtype=torch.bfloat16)
    threads = torch.get_num_threads()
    lib.rwc_blocks_run(b.blocks, address(x), address(y), rows, slope, address(scratch), threads, thread_pool())
    return y
