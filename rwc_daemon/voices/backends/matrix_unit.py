"""The CPU's matrix unit (AMX) through routines of our own (`voices.native`), in bfloat16.

Linear layers and convolutions are products; several of them run as one native call, where they are all packed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rwc_daemon.voices.backends.base import Backend, Deviation, Layer
from rwc_daemon.voices.layers import Conv, Dense, PackedLayer, Up, last
from rwc_daemon.voices.native.blocks import Blocks
from rwc_daemon.voices.native.conformer import Conformer
from rwc_daemon.voices.native.couplings import Couplings, Gated
from rwc_daemon.voices.native.encoder import Encoder, Near, Norm
from rwc_daemon.voices.native.isa import AMX
from rwc_daemon.voices.native.products import BLOCK, Product, suits


class MatrixUnit(Backend):
    """`weight_bits`: 8 keeps linear layers' weights in 8 bits, since at the few rows of a live block reading them is
    the work; such a backend takes no other layers. `isa`: see `native.isa`."""

    fuses = True

    def __init__(self, weight_bits: int = 16, isa: str = AMX) -> None:
        self.name = f"matrix unit, {weight_bits} bits" + ("" if isa == AMX else f", {isa}")
        self.deviation = Deviation.ROUNDING if weight_bits == 16 else Deviation.LOSSY
        self.weight_bits, self.isa = weight_bits, isa

    def pack(self, layer: Layer) -> PackedLayer | None:
        if not suits(layer.weight, self.isa):
            return None
        if isinstance(layer, Dense):
            product = Product.of(layer.weight.unsqueeze(2), layer.bias, weight_bits=self.weight_bits, isa=self.isa)
            return None if product is None else DenseProduct(product)
        if self.weight_bits != 16:
            return None
        if isinstance(layer, Up):
            product = Product.of(*unrolled(layer), isa=self.isa)
            return None if product is None else UpProduct(product, layer.out_channels, layer.stride[1])
        return self._convolution(layer)

    def _convolution(self, layer: Conv) -> PackedLayer | None:
        stride, dilation, padding = layer.stride[1], layer.dilation[1], int(layer.padding[1])
        if layer.in_channels == 1 and dilation == 1:
            # one channel: what the kernel sees at once is a row, and the next row begins `stride` later
            more = -layer.kernel_size[1] % BLOCK  # zeros behind the kernel
            kernel = F.pad(layer.weight.view(layer.out_channels, -1), (0, more)).unsqueeze(2)
            product = Product.of(kernel, layer.bias, pitch=stride, isa=self.isa)
            return None if product is None else ConvProduct(product, (padding, padding + more))
        if layer.groups != 1:
            return None
        product = Product.of(layer.weight.squeeze(2), layer.bias, stride, dilation, padding, isa=self.isa)
        return None if product is None else ConvProduct(product)

    def fuse(self, kind: str, parts: Mapping[str, Any]) -> Any:
        return FUSED[kind](**parts) if kind in FUSED else None


class ConvProduct(PackedLayer):
    """`margins`: with which one channel is a row of overlapping rows."""

    def __init__(self, product: Product, margins: tuple[int, int] | None = None) -> None:
        self.product, self.margins = product, margins

    def __call__(self, x: Tensor, act: str = "none", slope: float = 0.0, add: Tensor | None = None) -> Tensor:
        return self._run(x, act, slope, add)[0]

    def plus(self, x: Tensor, other: Tensor, slope: float) -> tuple[Tensor, Tensor]:
        y, leaky = self._run(x, "none", slope, other, leaky=True)
        assert leaky is not None
        return y, leaky

    def _run(
        self, x: Tensor, act: str, slope: float, add: Tensor | None, leaky: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        x = F.pad(x, self.margins) if self.margins else x
        shape = len(x), self.product.out, 1, self.product.rows(x.numel() // len(x))
        y = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        second = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last) if leaky else None
        self.product(last(x), y, act, slope, None if add is None else last(add), second)
        return y, second


class UpProduct(PackedLayer):
    def __init__(self, product: Product, out: int, rate: int) -> None:
        self.product, self.out, self.rate = product, out, rate

    def __call__(self, x: Tensor, act: str = "none", slope: float = 0.0, add: Tensor | None = None) -> Tensor:
        shape = len(x), self.out, 1, x.shape[-1] * self.rate
        y = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        self.product(last(x), y, act, slope, None if add is None else last(add))
        return y


class DenseProduct(PackedLayer):
    def __init__(self, product: Product) -> None:
        self.product = product

    def __call__(self, x: Tensor, act: str = "none", slope: float = 0.0, add: Tensor | None = None) -> Tensor:
        y = x.new_empty(*x.shape[:-1], self.product.out)
        self.product(x.contiguous().view(1, -1), y.view(1, -1), act, slope, None if add is None else add.contiguous())
        return y


def unrolled(up: Up) -> tuple[Tensor, Tensor | None, int, int, int]:
    """As a convolution with `rate` times the channels, a result's column after the other: its arguments. The column r
    of x's column n hears x's column n + q through the kernel at r + padding - q * rate, where there is one."""
    I, O, _, K = up.weight.shape
    rate, padding = up.stride[1], int(up.padding[1])
    reach = max((K - 1 - padding) // rate, (rate - 1 + padding) // rate)
    at = torch.arange(rate)[:, None] + padding - torch.arange(-reach, reach + 1) * rate
    heard = (at >= 0) & (at < K)
    kernel = up.weight[:, :, 0, at.clamp(0, K - 1)] * heard.to(up.weight.dtype)  # [I, O, rate, taps]
    bias = None if up.bias is None else up.bias.repeat(rate)
    return kernel.permute(2, 1, 0, 3).reshape(rate * O, I, -1), bias, 1, 1, reach


# ---- several layers as one call ----


def product(layer: Layer) -> Product | None:
    """What this backend made of the layer; None where another runs it."""
    return getattr(layer.packed, "product", None)


def encoder(layers: Sequence[Any], norms: Sequence[Sequence[Any]], **sizes: Any) -> Encoder | None:
    """`layers`: qkv, out, up and down; `norms`: weight and bias of both; heads, act, near: see `Encoder.of`."""
    near = sizes.pop("near", None)
    known = None if near is None else Near(*near)
    return Encoder.of([product(layer) for layer in layers], [Norm(*norm) for norm in norms], near=known, **sizes)


def encoders(each: Sequence[Mapping[str, Any]]) -> list[Encoder] | None:
    """All or none."""
    made = [encoder(**parts) for parts in each]
    fused = [one for one in made if one is not None]
    return fused if fused and len(fused) == len(made) else None


def couplings(each: Sequence[tuple[Any, Sequence[Any], Sequence[Any], Any]]) -> Couplings | None:
    """`each`: first layer, layers before and behind each gate, last layer; in the order in which they run."""
    return Couplings.of(
        [
            Gated(product(pre), [product(layer) for layer in into], [product(layer) for layer in onward], product(post))
            for pre, into, onward, post in each
        ]
    )


def stages(each: Sequence[Sequence[Any]], slope: float) -> list[Blocks | None] | None:
    """`each`: the residual blocks of every stage, which have `steps` of convolutions. None where no stage can."""
    made = [
        Blocks.of([[[product(conv) for conv in step] for step in block.steps] for block in blocks], slope)
        for blocks in each
    ]
    return made if any(made) else None


def conformer(up: Any, taps: Any, bias: Any, down: Any, norm: Sequence[Any]) -> Conformer | None:
    return Conformer.of(product(up), taps, bias, product(down), Norm(*norm))


FUSED: Mapping[str, Callable[..., Any]] = {
    "encoder": encoder,
    "encoders": encoders,
    "couplings": couplings,
    "stages": stages,
    "conformer": conformer,
}
