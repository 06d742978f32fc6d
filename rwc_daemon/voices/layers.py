"""Convolutions and linear layers that a CPU can run without copies, in half precision too.

Signals are [B, C, N]. A convolution's kernel is kept as a picture one row high: only pictures can be stored
channels-last, the order in which half precision runs. On a CPU `pack` also brings kernels into the order of the
machine's vector or matrix units, once instead of at each call, and activations and sums are then done while the result
is still in the cache.

The packed operations are our own where the CPU has a matrix unit and the layer suits it (`voices.native`), else those
that torch's own compiler emits (oneDNN); where a torch has them not, nothing is packed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwc_daemon.voices.backends.fusing import fuse
from rwc_daemon.voices.native.isa import AMX
from rwc_daemon.voices.native.products import BLOCK, Product, suits

PACKABLE = (torch.float32, torch.bfloat16)
# packed weights that a convolution keeps: for three steps of a ladder (engine/voice_cache.py), in each a first block
# and the others, on all threads and on one; half of them turn out to be the same
MOST_PACKED = 12
# torch's private operations that packed layers are made of; where its version lacks one, all layers stay plain torch
NEEDED = (
    "_is_mkldnn_bf16_supported",
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
            newest = list(self._kept.items())[1 - MOST_PACKED :]
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

    packed: Packed | Product | None = None
    margins: tuple[int, int] | None = None  # with which one channel is a row of overlapping rows

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
        if isinstance(self.packed, Product):
            return slid(self.packed, F.pad(x, self.margins) if self.margins else x, act, slope or 0.0)
        x = last(x)
        detail, how = ([slope] if slope is not None else []), ("none" if act == "gelu" else "")
        run = torch.ops.mkldnn._convolution_pointwise
        return run(x, self.packed.of(x), self.bias, *self._sizes, act, detail, how)

    def plus(self, x: Tensor, other: Tensor, slope: float) -> tuple[Tensor, Tensor]:
        """The convolution of the picture `x` and `other` added, and a leaky ReLU of that."""
        if isinstance(self.packed, Product):
            return slid_twice(self.packed, x, other, slope)
        if self.packed is None:
            y = other + super().forward(x)
        else:
            run = torch.ops.mkldnn._convolution_pointwise.binary
            y = run(x, other, self.packed.of(x), self.bias, *self._sizes, "add", 1.0, None, [], None)
        return y, F.leaky_relu(y, slope)

    @property
    def _sizes(self) -> tuple[Any, ...]:
        return self.padding, self.stride, self.dilation, self.groups

    def pack(self, isa: str | None = AMX) -> None:
        at = self.stride[1], self.dilation[1], int(self.padding[1])
        if self.in_channels == 1 and self.dilation[1] == 1:
            self._pack_one(at[0], at[2], isa)
        elif self.groups == 1:
            self.packed = Product.of(self.weight.squeeze(2), self.bias, *at, isa=isa)
        if self.packed is not None:
            del self.weight
            return
        if not can_pack("cpu", self.weight.dtype):
            return
        weight = last(self.weight)
        reorder = torch.ops.mkldnn._reorder_convolution_weight
        self.packed = Packed(lambda shape: reorder(weight, *self._sizes, shape))

    def _pack_one(self, stride: int, padding: int, isa: str | None) -> None:
        """One channel: what the kernel sees at once is a row, and the next row begins `stride` later."""
        more = -self.kernel_size[1] % BLOCK  # zeros behind the kernel
        kernel = F.pad(self.weight.view(self.out_channels, -1), (0, more)).unsqueeze(2)
        self.packed = Product.of(kernel, self.bias, pitch=stride, isa=isa)
        self.margins = None if self.packed is None else (padding, padding + more)


class Up(nn.ConvTranspose2d):
    """Upsampling by a transposed convolution: picture [B, I, 1, N] → [B, O, 1, N * rate]."""

    packed: Packed | Product | None = None

    def __init__(self, into: int, out: int, kernel: int, rate: int) -> None:
        odd = rate % 2  # then the kernel is twice the rate, and one more sample makes the length exact
        padding = (kernel - rate + odd) // 2
        super().__init__(into, out, (1, kernel), (1, rate), (0, padding), output_padding=(0, odd))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        if self.packed is None:
            return super().forward(x)
        if isinstance(self.packed, Product):
            return self._slid(self.packed, x, None)
        run = torch.ops.mkldnn._convolution_transpose_pointwise
        return run(x, self.packed.of(x), self.bias, *self._sizes, "none", [], "")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The upsampled picture and `other` added."""
        return self._slid(self.packed, x, other) if isinstance(self.packed, Product) else self(x) + other

    def _slid(self, product: Product, x: Tensor, add: Tensor | None) -> Tensor:
        shape = len(x), self.out_channels, 1, x.shape[-1] * self.stride[1]
        y = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        product(last(x), y, add=None if add is None else last(add))
        return y

    @property
    def _sizes(self) -> tuple[Any, ...]:
        return self.padding, self.output_padding, self.stride, self.dilation, self.groups

    def pack(self, isa: str | None = AMX) -> None:
        if suits(self.weight, isa):
            self.packed = Product.of(*self._unrolled(), isa=isa)
        if self.packed is not None:
            del self.weight
            return
        if not can_pack("cpu", self.weight.dtype):
            return
        reorder = torch.ops.mkldnn._reorder_convolution_transpose_weight
        self.packed = Packed(lambda shape: reorder(self.weight, *self._sizes, shape))

    def _unrolled(self) -> tuple[Tensor, Tensor | None, int, int, int]:
        """As a convolution with `rate` times the channels, a result's column after the other: its arguments. The column
        r of x's column n hears x's column n + q through the kernel at r + padding - q * rate, where there is one."""
        I, O, _, K = self.weight.shape
        rate, padding = self.stride[1], int(self.padding[1])
        reach = max((K - 1 - padding) // rate, (rate - 1 + padding) // rate)
        at = torch.arange(rate)[:, None] + padding - torch.arange(-reach, reach + 1) * rate
        heard = (at >= 0) & (at < K)
        kernel = self.weight[:, :, 0, at.clamp(0, K - 1)] * heard.to(self.weight.dtype)  # [I, O, rate, taps]
        bias = None if self.bias is None else self.bias.repeat(rate)
        return kernel.permute(2, 1, 0, 3).reshape(rate * O, I, -1), bias, 1, 1, reach


class Dense(nn.Linear):
    """x [..., I] → [..., O]."""

    packed: Tensor | Product | None = None

    def forward(self, x: Tensor, act: str = "none", add: Tensor | None = None) -> Tensor:
        """`act`: "gelu" or "none"; `add` [..., O] is added behind it."""
        if self.packed is None:
            y = activated(super().forward(x), None, act)
            return y if add is None else y + add
        if isinstance(self.packed, Product):
            y = x.new_empty(*x.shape[:-1], self.packed.out)
            self.packed(x.contiguous().view(1, -1), y.view(1, -1), act, 0.0, None if add is None else add.contiguous())
            return y
        how = "none" if act == "gelu" else ""
        y = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, act, [], how)
        return y if add is None else y + add

    def pack(self, isa: str | None = AMX, weight_bits: int = 16) -> None:
        """The plain weights are let go: one order fits every number of rows."""
        product = Product.of(self.weight.unsqueeze(2), self.bias, weight_bits=weight_bits, isa=isa)
        if product is None and not can_pack("cpu", self.weight.dtype):
            return
        self.packed = product or torch.ops.mkldnn._reorder_linear_weight(self.weight.contiguous(), None)
        del self.weight


def slid(product: Product, x: Tensor, act: str = "none", slope: float = 0.0) -> Tensor:
    """x [B, I, 1, N] → [B, O, 1, M]."""
    y = emptied(product, x)
    product(last(x), y, act, slope)
    return y


def slid_twice(product: Product, x: Tensor, other: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    """Plus `other`, and a leaky ReLU of that."""
    y, leaky = emptied(product, x), emptied(product, x)
    product(last(x), y, slope=slope, add=last(other), leaky=leaky)
    return y, leaky


def emptied(product: Product, x: Tensor) -> Tensor:
    """Where the answer to the picture `x` goes."""
    shape = len(x), product.out, 1, product.rows(x.numel() // len(x))
    return torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)


def last(x: Tensor) -> Tensor:
    """The picture, its channels last in memory."""
    return x.contiguous(memory_format=torch.channels_last)


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
    if not has_private_operations(torch.ops.mkldnn):
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def has_private_operations(operations: object) -> bool:
    """Whether this torch has every private operation that packed layers call. `operations`: `torch.ops.mkldnn`."""
    known = all(hasattr(operations, name) for name in NEEDED)
    return known and hasattr(operations._convolution_pointwise, "binary")  # type: ignore[attr-defined]


def pack(net: nn.Module, weight_bits: int = 16, isa: str | None = AMX) -> None:
    """Every layer of `net`; `weight_bits`: of linear layers on the matrix unit."""
    for layer in net.modules():
        if isinstance(layer, Conv | Up) and layer.weight.dtype in PACKABLE:
            layer.pack(isa)
        elif isinstance(layer, Dense) and layer.weight.dtype in PACKABLE:
            layer.pack(isa, weight_bits)
    fuse(net)


def pictured(tensors: Mapping[str, Tensor], chosen: Callable[[str], bool]) -> dict[str, Tensor]:
    """The tensors, those kernels [O, I, K] that are `chosen` by name as pictures [O, I, 1, K]."""
    kernels = [name for name, tensor in tensors.items() if tensor.dim() == 3 and chosen(name)]
    return {**tensors, **{name: tensors[name].unsqueeze(2) for name in kernels}}


def joined(tensors: Mapping[str, Tensor], first: str, others: tuple[str, ...], whole: str) -> dict[str, Tensor]:
    """The tensors, those of layers that hear the same as those of one: `first` in a name becomes `whole`."""
    names = {
        name: [name, *(name.replace(f".{first}.", f".{other}.") for other in others)]
        for name in tensors
        if f".{first}." in name
    }
    spent = {part for parts in names.values() for part in parts}
    kept = {name: tensor for name, tensor in tensors.items() if name not in spent}
    return kept | {
        name.replace(f".{first}.", f".{whole}."): torch.cat([tensors[part] for part in parts])
        for name, parts in names.items()
    }
