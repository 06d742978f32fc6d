"""Chooses, once a net is loaded, which backend runs each of its layers.

A part that a backend runs as one call goes to it whole: one call for several layers is what saves the time between
them, and what a single layer's time does not show. Every other layer goes to the backend that is quickest in a short
measurement, among those whose deviation the caller allows; plain torch runs what no backend takes. (It competed for a
while, and won on layers where it then lost: measured alone it finds its weights in the cache, within a net it does
not.) A process remembers the choice by the layer's shape. A later backend has to be a tenth quicker than an earlier one
of `table.BACKENDS`, so that a disturbed measurement seldom changes a choice, and equal machines choose alike.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from rwc_daemon.voices.backends.base import Backend, Deviation, Layer
from rwc_daemon.voices.backends.table import BACKENDS
from rwc_daemon.voices.layers import LAYERS, Conv, Dense, PackedLayer, last

LIVE_ROWS = 32  # of a linear layer: what a live block asks of it
LIVE_COLUMNS = (16, 512)  # of a convolution: so many, within these bounds, that one run has about
RUN_MACS = 4_000_000  # multiplications, some 0.1 ms
# the quickest of so many counts: what other programs did to the others is no property of the backend
LEAST_ROUNDS, MOST_ROUNDS = 2, 6
ENOUGH_S = 0.005  # spent on one layer: no further round
QUICKER = 0.9  # of the time of an earlier backend

_chosen: dict[tuple[Any, ...], str] = {}
PLAIN = "torch"


@runtime_checkable
class Fusable(Protocol):
    """A module whose layers can run as one call. It knows no backend: it names its parts, and asks `fused` before it
    computes layer by layer."""

    kind: str
    """What it is; a backend that fuses knows the kinds."""
    fused: Any
    """What runs instead of its layers, or None."""

    def parts(self) -> Mapping[str, Any]:
        """What a backend wants to know: layers, norms and numbers, by name."""
        ...


def pack(net: nn.Module, limit: Deviation = Deviation.ROUNDING, backends: Sequence[Backend] | None = None) -> None:
    """Gives every layer of `net` to a backend; `limit`: of deviation; `backends`: by default all."""
    allowed = [one for one in (BACKENDS if backends is None else backends) if one.deviation <= limit]
    for part in net.modules():
        if isinstance(part, Fusable):
            fuse(part, allowed)
    with torch.inference_mode():
        for layer in net.modules():
            if isinstance(layer, LAYERS) and layer.packed is None:
                choose(layer, allowed)


def can_pack(device: str, dtype: torch.dtype) -> bool:
    """Whether any backend takes layers of this type."""
    probe = Dense(32, 32).to(dtype).requires_grad_(False)
    return device == "cpu" and any(one.pack(probe) is not None for one in BACKENDS)


def fuse(part: Fusable, backends: Sequence[Backend]) -> None:
    """By the first backends that take its layers together; the layers keep what they were packed to."""
    part.fused = None
    layers = list(layers_in(part.parts()))
    before = [layer.packed for layer in layers]
    for layer in layers:
        offers = (one.pack(layer) for one in backends if one.fuses)
        if layer.packed is None:
            layer.packed = next((offer for offer in offers if offer is not None), None)
    for backend in backends:
        part.fused = part.fused or backend.fuse(part.kind, part.parts())
    for layer, packed in zip(layers, before, strict=True):
        if part.fused is None:
            layer.packed = packed  # each is chosen by itself
        elif layer.packed is not None:
            let_go(layer)


def layers_in(parts: Any) -> Iterator[Layer]:
    """Every layer in what `Fusable.parts` answers."""
    if isinstance(parts, nn.Module):
        yield from (layer for layer in parts.modules() if isinstance(layer, LAYERS))
    elif isinstance(parts, Mapping):
        for one in parts.values():
            yield from layers_in(one)
    elif isinstance(parts, Sequence) and not isinstance(parts, str):
        for one in parts:
            yield from layers_in(one)


def choose(layer: Layer, backends: Sequence[Backend]) -> None:
    """Gives one layer to the quickest of the backends that take it."""
    key = described(layer, backends)
    known = _chosen.get(key)
    packed = {one.name: one.pack(layer) for one in backends if known in (None, one.name)}
    offers = {name: one for name, one in packed.items() if one is not None}
    if known is None:
        known = _chosen[key] = quickest(layer, offers) if len(offers) > 1 else next(iter(offers), PLAIN)
    layer.packed = offers.get(known)
    if layer.packed is not None:
        let_go(layer)


def described(layer: Layer, backends: Sequence[Backend]) -> tuple[Any, ...]:
    """All that a choice depends on."""
    sizes = () if isinstance(layer, Dense) else (layer.stride, layer.padding, layer.dilation, layer.groups)
    names = tuple(one.name for one in backends)
    weight = layer.weight
    return type(layer), tuple(weight.shape), weight.dtype, weight.device, sizes, names, torch.get_num_threads()


def quickest(layer: Layer, offers: Mapping[str, PackedLayer]) -> str:
    """The name of the backend to take. Everybody runs in turn, so that what disturbs one disturbs the others."""
    x, least = example(layer), dict.fromkeys(offers, float("inf"))
    until = time.perf_counter() + ENOUGH_S
    for n in range(MOST_ROUNDS):
        if n >= LEAST_ROUNDS and time.perf_counter() > until:
            break
        for name, packed in offers.items():
            layer.packed = packed
            begin = time.perf_counter()
            layer(x)
            least[name] = min(least[name], time.perf_counter() - begin)
    layer.packed = None
    best = next(iter(offers))
    for name, seconds in least.items():
        best = name if seconds < QUICKER * least[best] else best
    return best


def example(layer: Layer) -> Tensor:
    """A signal of about the size that a live block gives it."""
    weight = layer.weight
    if isinstance(layer, Dense):
        return weight.new_zeros(1, LIVE_ROWS, layer.in_features)
    fewest, most = LIVE_COLUMNS
    columns = min(max(RUN_MACS // weight.numel(), fewest), most)
    if isinstance(layer, Conv):
        columns = (columns - 1) * layer.stride[1] + layer.dilation[1] * (layer.kernel_size[1] - 1) + 1
    return last(weight.new_zeros(1, layer.in_channels, 1, columns))


def let_go(layer: Layer) -> None:
    """Of the weights that its packed layer has in another order."""
    assert layer.packed is not None
    if not layer.packed.keeps_weight and "weight" in layer._parameters:
        del layer.weight
