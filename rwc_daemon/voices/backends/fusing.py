"""Runs several layers of a net as one native call, where their packed layers allow it.

A net names its fusable parts and knows no backend: each such module has a `kind`, says by `parts` which layers and
numbers it consists of, and asks `fused` before it computes layer by layer. Where that is None it runs as it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import nn

from rwc_daemon.voices.native.blocks import Blocks
from rwc_daemon.voices.native.conformer import Conformer
from rwc_daemon.voices.native.couplings import Couplings, Gated
from rwc_daemon.voices.native.encoder import Encoder, Near, Norm


@runtime_checkable
class Fusable(Protocol):
    """A module whose layers can run as one."""

    kind: str
    """One of `KINDS`."""
    fused: Any
    """What runs instead of its layers, or None."""

    def parts(self) -> Mapping[str, Any]:
        """What the kind wants to know, by name."""
        ...


def fuse(net: nn.Module) -> None:
    """Fuses every part of `net` that can run so, once its layers are packed."""
    for part in net.modules():
        if isinstance(part, Fusable):
            part.fused = KINDS[part.kind](**part.parts())


def encoder(layers: Sequence[Any], norms: Sequence[Sequence[Any]], **sizes: Any) -> Encoder | None:
    """`layers`: qkv, out, up and down; `norms`: weight and bias of both; heads, act, near: see `Encoder.of`."""
    near = sizes.pop("near", None)
    known = None if near is None else Near(*near)
    return Encoder.of([layer.packed for layer in layers], [Norm(*norm) for norm in norms], near=known, **sizes)


def encoders(each: Sequence[Mapping[str, Any]]) -> list[Encoder] | None:
    """All or none."""
    made = [encoder(**parts) for parts in each]
    fused = [one for one in made if one is not None]
    return fused if fused and len(fused) == len(made) else None


def couplings(each: Sequence[tuple[Any, Sequence[Any], Sequence[Any], Any]]) -> Couplings | None:
    """`each`: first layer, layers before and behind each gate, last layer; in the order in which they run."""
    return Couplings.of(
        [
            Gated(pre.packed, [layer.packed for layer in into], [layer.packed for layer in onward], post.packed)
            for pre, into, onward, post in each
        ]
    )


def stages(each: Sequence[Sequence[Any]], slope: float) -> list[Blocks | None]:
    """`each`: the residual blocks of every stage, which have `steps` of convolutions."""
    return [
        Blocks.of([[[conv.packed for conv in step] for step in block.steps] for block in blocks], slope)
        for blocks in each
    ]


def conformer(up: Any, taps: Any, bias: Any, down: Any, norm: Sequence[Any]) -> Conformer | None:
    return Conformer.of(up.packed, taps, bias, down.packed, Norm(*norm))


KINDS: Mapping[str, Callable[..., Any]] = {
    "encoder": encoder,
    "encoders": encoders,
    "couplings": couplings,
    "stages": stages,
    "conformer": conformer,
}
