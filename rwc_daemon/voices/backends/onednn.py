"""oneDNN's prepacked operations, those that torch's own compiler emits: weights are brought into the order of the
machine's vector or matrix units once instead of at each call, and activations and sums are done while the result is
still in the cache.

These operations are private to torch: where its version lacks one, this backend takes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rwc_daemon.voices.backends.base import Backend, Deviation, Layer
from rwc_daemon.voices.layers import Conv, Dense, PackedLayer, Up, last

# packed weights that a convolution keeps: for three steps of a ladder (engine/voice_cache.py), in each a first block
# and the others, on all threads and on one; half of them turn out to be the same
MOST_PACKED = 12
# torch's private operations that are called here
NEEDED = (
    "_is_mkldnn_bf16_supported",
    "_convolution_pointwise",
    "_reorder_convolution_weight",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_transpose_weight",
    "_linear_pointwise",
    "_reorder_linear_weight",
)


class OneDnn(Backend):
    name = "oneDNN"
    deviation = Deviation.ROUNDING

    def pack(self, layer: Layer) -> PackedLayer | None:
        if layer.weight.device.type != "cpu" or not runs(layer.weight.dtype):
            return None
        if isinstance(layer, Dense):
            return PackedDense(layer)
        return PackedUp(layer) if isinstance(layer, Up) else PackedConv(layer)


def runs(dtype: torch.dtype) -> bool:
    """Whether packed layers of this type run here, and pay."""
    if not torch.backends.mkldnn.is_available() or not has_private_operations(torch.ops.mkldnn):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))


def has_private_operations(operations: object) -> bool:
    """Whether this torch has every private operation that packed layers call. `operations`: `torch.ops.mkldnn`."""
    known = all(hasattr(operations, name) for name in NEEDED)
    return known and hasattr(operations._convolution_pointwise, "binary")  # type: ignore[attr-defined]


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


class PackedConv(PackedLayer):
    keeps_weight = True  # to bring it into the order of another length

    def __init__(self, layer: Conv) -> None:
        self.bias = layer.bias
        self.sizes: tuple[Any, ...] = layer.padding, layer.stride, layer.dilation, layer.groups
        weight, reorder = last(layer.weight), torch.ops.mkldnn._reorder_convolution_weight
        self.weights = Packed(lambda shape: reorder(weight, *self.sizes, shape))

    def __call__(self, x: Tensor, act: str = "none", slope: float = 0.0, add: Tensor | None = None) -> Tensor:
        x = last(x)
        run, weight = torch.ops.mkldnn._convolution_pointwise, self.weights.of(x)
        if add is not None and act == "none":
            return run.binary(x, add, weight, self.bias, *self.sizes, "add", 1.0, None, [], None)
        y = run(x, weight, self.bias, *self.sizes, act, *details(act, slope))
        return y if add is None else y + add


class PackedUp(PackedLayer):
    keeps_weight = True

    def __init__(self, layer: Up) -> None:
        self.bias = layer.bias
        self.sizes: tuple[Any, ...] = (
            layer.padding, layer.output_padding, layer.stride, layer.dilation, layer.groups
        )  # fmt: skip
        weight, reorder = layer.weight, torch.ops.mkldnn._reorder_convolution_transpose_weight
        self.weights = Packed(lambda shape: reorder(weight, *self.sizes, shape))

    def __call__(self, x: Tensor, act: str = "none", slope: float = 0.0, add: Tensor | None = None) -> Tensor:
        run = torch.ops.mkldnn._convolution_transpose_pointwise
        y = run(x, self.weights.of(x), self.bias, *self.sizes, act, *details(act, slope))
        return y if add is None else y + add


class PackedDense(PackedLayer):
    """One order fits every number of rows."""

    def __init__(self, layer: Dense) -> None:
        self.bias = layer.bias
        self.weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.contiguous(), None)

    def __call__(self, x: Tensor, act: str = "none", slope: float = 0.0, add: Tensor | None = None) -> Tensor:
        y = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, act, *details(act, slope))
        return y if add is None else y + add


def details(act: str, slope: float) -> tuple[list[float], str]:
    """What the operations want to know of an activation: its numbers and its variant."""
    return ([slope] if act == "leaky_relu" else []), ("none" if act == "gelu" else "")
