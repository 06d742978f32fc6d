"""Convolutions and linear layers of the nets, as plain torch.

Signals are [B, C, N]. A convolution's kernel is kept as a picture one row high: only pictures can be stored
channels-last, the order in which half precision runs.

A layer computes as it reads until something stands in `packed`: the same layer in the order of this machine's units.
`voices/backends` chooses that, once, when a net is loaded. Nothing here knows a backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PackedLayer:
    """What a backend makes of one layer; bias and activation included.

    Pictures [B, I, 1, N] → [B, O, 1, M] for convolutions, rows [..., I] → [..., O] for linear layers.
    """

    keeps_weight = False
    """Whether it needs the layer's own weight, which is let go otherwise."""

    def __call__(self, x: Tensor, act: str = "none", slope: float = 0.0, add: Tensor | None = None) -> Tensor:
        """`act`: "none", "relu", "gelu" or "leaky_relu" with `slope`; `add`, of the answer's shape, is added last."""
        raise NotImplementedError

    def plus(self, x: Tensor, other: Tensor, slope: float) -> tuple[Tensor, Tensor]:
        """The answer and `other` added, and a leaky ReLU of that."""
        y = self(x, add=other)
        return y, F.leaky_relu(y, slope)


class Conv(nn.Conv2d):
    """x [B, I, N] → [B, O, M]; pictures [B, I, 1, N] stay pictures."""

    packed: PackedLayer | None = None

    def __init__(
        self, into: int, out: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, bias: bool = True
    ) -> None:
        super().__init__(into, out, (1, kernel), (1, stride), (0, padding), (1, dilation), bias=bias)

    def forward(self, x: Tensor, slope: float = 0.0, act: str = "none") -> Tensor:
        """`act` as for a `PackedLayer`; a `slope` means a leaky ReLU."""
        act = "leaky_relu" if slope else act
        flat = x.dim() == 3
        x = x.unsqueeze(2) if flat else x
        y = activated(super().forward(x), act, slope) if self.packed is None else self.packed(x, act, slope)
        return y.squeeze(2) if flat else y

    def plus(self, x: Tensor, other: Tensor, slope: float) -> tuple[Tensor, Tensor]:
        """The convolution of the picture `x` and `other` added, and a leaky ReLU of that."""
        if self.packed is not None:
            return self.packed.plus(x, other, slope)
        y = super().forward(x) + other
        return y, F.leaky_relu(y, slope)


class Up(nn.ConvTranspose2d):
    """Upsampling by a transposed convolution: picture [B, I, 1, N] → [B, O, 1, N * rate]."""

    packed: PackedLayer | None = None

    def __init__(self, into: int, out: int, kernel: int, rate: int) -> None:
        odd = rate % 2  # then the kernel is twice the rate, and one more sample makes the length exact
        padding = (kernel - rate + odd) // 2
        super().__init__(into, out, (1, kernel), (1, rate), (0, padding), output_padding=(0, odd))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x) if self.packed is None else self.packed(x)

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The upsampled picture and `other` added."""
        return self(x) + other if self.packed is None else self.packed(x, add=other)


class Dense(nn.Linear):
    """x [..., I] → [..., O]."""

    packed: PackedLayer | None = None

    def forward(self, x: Tensor, act: str = "none", add: Tensor | None = None) -> Tensor:
        """`act`, `add`: as for a `PackedLayer`."""
        if self.packed is not None:
            return self.packed(x, act, add=add)
        y = activated(super().forward(x), act)
        return y if add is None else y + add


LAYERS = (Conv, Up, Dense)


def activated(x: Tensor, act: str, slope: float = 0.0) -> Tensor:
    match act:
        case "leaky_relu":
            return F.leaky_relu(x, slope)
        case "relu":
            return F.relu(x)
        case "gelu":
            return F.gelu(x)
    assert act == "none", act
    return x


def last(x: Tensor) -> Tensor:
    """The picture, its channels last in memory."""
    return x.contiguous(memory_format=torch.channels_last)


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """`x` where a frame counts, else 0; without a mask all count."""
    return x if mask is None else x * mask


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
