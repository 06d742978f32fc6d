"""Convolutions and linear layers that a CPU can run without copies, in half precision too.

Signals are [B, C, N]. A convolution's kernel is kept as a picture one row high: only pictures can be stored
channels-last, the order in which half precision runs. On a CPU `pack` also brings kernels into the order of the
machine's vector or matrix units, once instead of at each call, and activations and sums are then done while the result
is still in the cache.

The packed operations are those that torch's own compiler emits (oneDNN); where a torch has them not, nothing is packed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKABLE = (torch.float32, torch.bfloat16)
KEPT = 12  # orders of weights that a convolution keeps: for three steps of a ladder (engine/kept.py), in each a first
# block and the others, on all threads and on one. Half of them turn out to be the same
NEEDED = (
    "_convolution_pointwise",
    "_reorder_convolution_weight",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_transpose_weight",
    "_linear_pointwise",
    "_reorder_linear_weight",
)


class Packed:
    """The weights of one convolution in the machine's order, by what it depends on: the length of the signal and the
    number of threads. With an order for two threads a block took one thread 150 ms instead of 76."""

    def __init__(self, reorder: Callable[[list[int]], Tensor]) -> None:
        self._reorder = reorder
        self._kept: dict[tuple[int, int], Tensor] = {}

    def of(self, x: Tensor) -> Tensor:
        """Two threads may ask at once: at worst both bring the same into order."""
        wanted = x.shape[-1], torch.get_num_threads()
        weight = self._kept.get(wanted)
        if weight is None:
            weight = self._shared(self._reorder(list(x.shape)))
            newest = list(self._kept.items())[1 - KEPT :]
            self._kept = dict([*newest, (wanted, weight)])
        return weight

    def _shared(self, weight: Tensor) -> Tensor:
        """One that is kept already in the same order, where torch can tell, or this one."""
        order_of = getattr(torch.ops.mkldnn, "_get_mkldnn_serialized_md", None)
        if order_of is None:
            return weight
        order = order_of(weight)
        return next((kept for kept in self._kept.values() if torch.equal(order_of(kept), order)), weight)


class Conv(nn.Conv2d):
    """x [B, I, N] → [B, O, M]; pictures [B, I, 1, N] stay pictures."""

    packed: Packed | None = None

    def __init__(
        self, into: int, out: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, bias: bool = True
    ) -> None:
        super().__init__(into, out, (1, kernel), (1, stride), (0, padding), (1, dilation), bias=bias)

    def forward(self, x: Tensor, slope: float | None = None, act: str = "none") -> Tensor:
        """`slope`: of a leaky ReLU behind the convolution; `act`: or "relu", or "gelu"."""
        flat = x.dim() == 3
        y = self._run(x.unsqueeze(2) if flat else x, slope, "leaky_relu" if slope is not None else act)
        return y.squeeze(2) if flat else y

    def _run(self, x: Tensor, slope: float | None, act: str) -> Tensor:
        if self.packed is None:
            return activated(super().forward(x), slope, act)
        x = x.contiguous(memory_format=torch.channels_last)
        detail, how = ([slope] if slope is not None else []), ("none" if act == "gelu" else "")
        run = torch.ops.mkldnn._convolution_pointwise
        return run(x, self.packed.of(x), self.bias, *self._sizes, act, detail, how)

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The convolution of the picture `x`, and `other` added."""
        if self.packed is None:
            return other + super().forward(x)
        run = torch.ops.mkldnn._convolution_pointwise.binary
        return run(x, other, self.packed.of(x), self.bias, *self._sizes, "add", 1.0, None, [], None)

    @property
    def _sizes(self) -> tuple[Any, ...]:
        return self.padding, self.stride, self.dilation, self.groups

    def pack(self) -> None:
        weight = self.weight.contiguous(memory_format=torch.channels_last)
        reorder = torch.ops.mkldnn._reorder_convolution_weight
        self.packed = Packed(lambda shape: reorder(weight, *self._sizes, shape))


class Up(nn.ConvTranspose2d):
    """Upsampling by a transposed convolution: picture [B, I, 1, N] → [B, O, 1, N * rate]."""

    packed: Packed | None = None

    def __init__(self, into: int, out: int, kernel: int, rate: int) -> None:
        odd = rate % 2  # then the kernel is twice the rate, and one more sample makes the length exact
        padding = (kernel - rate + odd) // 2
        super().__init__(into, out, (1, kernel), (1, rate), (0, padding), output_padding=(0, odd))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        if self.packed is None:
            return super().forward(x)
        run = torch.ops.mkldnn._convolution_transpose_pointwise
        return run(x, self.packed.of(x), self.bias, *self._sizes, "none", [], "")

    @property
    def _sizes(self) -> tuple[Any, ...]:
        return self.padding, self.output_padding, self.stride, self.dilation, self.groups

    def pack(self) -> None:
        reorder = torch.ops.mkldnn._reorder_convolution_transpose_weight
        self.packed = Packed(lambda shape: reorder(self.weight, *self._sizes, shape))


class Dense(nn.Linear):
    """x [..., I] → [..., O]."""

    packed: Tensor | None = None

    def forward(self, x: Tensor, act: str = "none") -> Tensor:
        """`act`: "gelu" or "none"."""
        if self.packed is None:
            return activated(super().forward(x), None, act)
        how = "none" if act == "gelu" else ""
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, act, [], how)

    def pack(self) -> None:
        """The plain weights are let go: one order fits every number of rows."""
        self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.contiguous(), None)
        del self.weight


def activated(x: Tensor, slope: float | None, act: str) -> Tensor:
    if slope is not None:
        return F.leaky_relu(x, slope)
    if act == "relu":
        return F.relu(x)
    return F.gelu(x) if act == "gelu" else x


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """`x` where a frame counts, else 0; without a mask all count."""
    return x if mask is None else x * mask


def can_pack(device: str, dtype: torch.dtype) -> bool:
    """Whether packed layers run here, and pay."""
    if device != "cpu" or dtype not in PACKABLE or not torch.backends.mkldnn.is_available():
        return False
    known = all(hasattr(torch.ops.mkldnn, name) for name in NEEDED)
    return known and (dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported())


def pack(net: nn.Module) -> None:
    """Every layer of `net`."""
    for layer in net.modules():
        if isinstance(layer, Conv | Up | Dense) and layer.weight.dtype in PACKABLE:
            layer.pack()


def pictured(tensors: Mapping[str, Tensor], chosen: Callable[[str], bool]) -> dict[str, Tensor]:
    """The tensors, those kernels [O, I, K] that are `chosen` by name as pictures [O, I, 1, K]."""
    kernels = [name for name, tensor in tensors.items() if tensor.dim() == 3 and chosen(name)]
    return {**tensors, **{name: tensors[name].unsqueeze(2) for name in kernels}}
