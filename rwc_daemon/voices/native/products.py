"""Linear layers and convolutions in routines of our own (products.c), in bfloat16 with sums in float32.

    y[r, o] = act( bias[o] + sum over j, c of w[o, c, j] x[r * stride - padding + j * dilation, c] ) + add[r, o]

with taps j and channels c; x is 0 outside its rows.

At the few rows of a live block reading the weights is the work. Here they lie in the order in which they are read, for
every length of signal and number of threads alike, and what comes next is asked for ahead.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from rwc_daemon.voices.native._native import ffi, lib
from rwc_daemon.voices.native.isa import AMX, ready, table

BLOCK, TILE = 32, 16  # columns, and channels, that are taken at once; columns of a tile
ACTS = {"none": lib.RWC_PLAIN, "relu": lib.RWC_RELU, "leaky_relu": lib.RWC_LEAKY, "gelu": lib.RWC_GELU}


def suits(weight: Tensor, isa: str | None) -> bool:
    """Whether layers with such weights can run in these routines."""
    return isa is not None and weight.dtype == torch.bfloat16 and weight.device.type == "cpu" and ready(isa)


@dataclass(frozen=True, eq=False)
class Product:
    """One layer. Signals are rows of channels: bfloat16, contiguous in that order."""

    into: int
    out: int
    taps: int
    stride: int
    dilation: int
    padding: int
    pitch: int
    """From one row of x to the next."""
    layer: Any
    """For products.c."""
    kept: tuple[Tensor | None, ...]
    """What `layer` points to."""
    isa: str
    """Whose routines run it."""

    @classmethod
    def of(
        cls,
        weight: Tensor,
        bias: Tensor | None,
        stride: int = 1,
        dilation: int = 1,
        padding: int = 0,
        weight_bits: int = 16,
        pitch: int | None = None,
        isa: str | None = AMX,
    ) -> Product | None:
        """From a kernel [O, I, taps]; None where it cannot run so, or not here. Taps that are 0 cost nothing.

        `isa`: one of `isas`; None means none.
        `weight_bits`: 8 keeps whole numbers -127 … 127 in units of their column's greatest. `pitch`: rows of x are so
        far apart, and overlap; by default as far as they are long."""
        O, I, taps = weight.shape
        sizes = I, O, taps, stride, dilation, padding, pitch or I
        if isa is None or not suits(weight, isa):
            return None
        if not lib.rwc_layer_fits(ffi.new("rwc_layer *", (ffi.NULL,) * 5 + sizes)):
            return None
        whole, scale = in_8_bits(weight) if weight_bits == 8 else (weight, None)
        tiles = whole.view(O // BLOCK, 2, TILE, I // BLOCK, TILE, 2, taps).permute(0, 6, 3, 1, 4, 2, 5)
        ordered = tiles.contiguous() if scale is None else interleaved(tiles)
        kept = ordered, scale, None if bias is None else bias.float().contiguous(), spans(weight)
        pointers = (ffi.cast("void *", address(one)) for one in kept)
        return cls(*sizes, ffi.new("rwc_layer *", (table(isa), *pointers, *sizes)), kept, isa)

    def rows(self, numbers: int) -> int:
        """Of the answer to a signal of so many numbers."""
        rows_in = (numbers - self.into) // self.pitch + 1
        return (rows_in + 2 * self.padding - self.dilation * (self.taps - 1) - 1) // self.stride + 1

    def __call__(
        self,
        x: Tensor,
        y: Tensor,
        act: str = "none",
        slope: float = 0.0,
        add: Tensor | None = None,
        leaky: Tensor | None = None,
    ) -> None:
        """B signals, x [B, rows in * I] → y [B, rows * O], any shape that lies so in memory. `add`, like y, is added
        behind `act`; `leaky`, like y, is filled with a leaky ReLU of the result. `slope`: of leaky ReLUs."""
        watched(run, self, x, y, act, slope, add, leaky)


def alike(products: Iterable[Any]) -> bool:
    """Whether these are all products, and of one instruction set: then they can run within one call."""
    products = list(products)
    return all(isinstance(one, Product) for one in products) and len({one.isa for one in products}) == 1


def watched(work: Callable[..., Any], part: Any, x: Tensor, *more: Any) -> Any:
    """`work(part, x, *more)` as an operation of torch: who does those elsewhere (engine/op_queue.py) does this, too."""
    if has_torch_function_unary(x):
        return handle_torch_function(work, (x,), part, x, *more)
    return work(part, x, *more)


def run(p: Product, x: Tensor, y: Tensor, act: str, slope: float, add: Tensor | None, leaky: Tensor | None) -> None:
    numbers, rows = x.numel() // len(x), y.numel() // p.out // len(y)
    beside = [one for one in (add, leaky) if one is not None]
    fit = p.rows(numbers) == rows and all(one.numel() == y.numel() for one in beside)
    if not fit or any(one.dtype != torch.bfloat16 for one in (x, y, *beside)):
        raise TypeError(f"{numbers} {x.dtype} into {rows} rows of {y.dtype}: these lie otherwise in memory")
    rows_in = (numbers - p.into) // p.pitch + 1
    spans = (numbers, rows * p.out, rows * p.out, rows * p.out)
    begins = [(address(one), one is not None and 2 * span) for one, span in zip((x, y, add, leaky), spans, strict=True)]
    for n in range(len(x)):
        at, to, other, second = (begin + n * span for begin, span in begins)
        lib.rwc_layer_run(
            p.layer, at, rows_in, to, rows, other, second, ACTS[act], slope, torch.get_num_threads(), thread_pool()
        )


def spans(weight: Tensor) -> Tensor | None:
    """Of each block of columns: its first tap that is not all 0, and one behind the last. None: there is but one."""
    if weight.shape[-1] == 1:
        return None
    used = weight.ne(0).reshape(len(weight) // BLOCK, -1, weight.shape[-1]).any(1)
    at = torch.arange(weight.shape[-1])
    first, last = at.where(used, len(at)).amin(1), at.where(used, -1).amax(1)
    return torch.stack([first.minimum(last + 1), last + 1], 1).int().contiguous()


def in_8_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """[O, I, taps] → sign and magnitude in 8 bits, uint8, and their unit [O], float32."""
    weight = weight.float()
    scale = weight.abs().amax((1, 2)).clamp(min=torch.finfo(torch.float32).tiny) / 127
    whole = (weight / scale[:, None, None]).round()
    return (whole.abs() + 128 * (whole < 0)).to(torch.uint8), scale


def interleaved(tiles: Tensor) -> Tensor:
    """[..., 16 pairs, 16 columns, 2] → as products.c unpacks it: 8 bytes of one pair's row, 8 of the next's."""
    rows = tiles.reshape(*tiles.shape[:-3], TILE // 2, 2, 4, 8)
    return rows.transpose(-3, -2).contiguous()


def address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()


def floats(tensors: Iterable[Tensor]) -> tuple[list[Tensor], list[Any]]:
    """In float32 for C: what has to be kept, and pointers to it."""
    kept = [one.detach().float().contiguous() for one in tensors]
    return kept, [ffi.cast("float *", address(one)) for one in kept]


@cache
def thread_pool() -> Any:
    """How to run on the threads that torch keeps; NULL where it has no OpenMP runtime with GNU's names."""
    everything = ctypes.CDLL(None)
    try:
        found = [
            everything[name] for name in ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads", "GOMP_barrier")
        ]
    except AttributeError:
        return ffi.NULL
    addresses = (ctypes.cast(one, ctypes.c_void_p).value or 0 for one in found)
    return ffi.new("rwc_thread_pool *", tuple(ffi.cast("void *", each) for each in addresses))
