"""From a safetensors file to a net: names brought to one form, checked against the layout, weight norm folded.

    weight = g * v / ||v||        the norm over every dimension in which g has length 1

That one sentence covers convolutions (per output channel), transposed ones (per input channel) and the content
encoder's positional convolution (per tap).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rwc_daemon.errors import BadModel
from rwc_daemon.store.layout import Shape, check_shapes, plain_name

Tensors = dict[str, Tensor]
M = TypeVar("M", bound=nn.Module)


def read(path: Path) -> Tensors:
    """All tensors of a safetensors file. Raises BadModel if it cannot be read."""
    try:
        return {plain_name(name): tensor for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise BadModel(f"{path} cannot be read ({error}): import the voice or fetch the asset again") from error


def checked(tensors: Mapping[str, Tensor], shapes: Mapping[str, Shape], what: str) -> Tensors:
    """The wanted tensors, float32, exactly as `shapes` says (surplus `enc_q.*` dropped). Raises BadModel."""
    plain = {plain_name(name): tensor for name, tensor in tensors.items()}
    check_shapes({name: tuple(tensor.shape) for name, tensor in plain.items()}, shapes, what)
    strange = [name for name in shapes if not plain[name].is_floating_point()]
    if strange:
        raise BadModel(f"{what}: tensor {strange[0]} holds {plain[strange[0]].dtype}, not floating-point numbers")
    return {name: plain[name].float() for name in shapes}


def folded(tensors: Mapping[str, Tensor]) -> Tensors:
    """Every pair `weight_g`, `weight_v` become the `weight` they stand for."""
    plain: Tensors = {}
    for name, tensor in tensors.items():
        if name.endswith(".weight_g"):
            continue
        if name.endswith(".weight_v"):
            g = tensors[name.removesuffix("_v") + "_g"]
            over = [d for d in range(g.dim()) if g.shape[d] == 1]
            plain[name.removesuffix("_v")] = g * tensor / torch.linalg.vector_norm(tensor, dim=over, keepdim=True)
        else:
            plain[name] = tensor
    return plain


def settle(net: M, tensors: Mapping[str, Tensor], device: str, dtype: torch.dtype) -> M:
    """Puts the folded tensors into `net`, ready for inference on `device` in `dtype`."""
    net.load_state_dict(dict(tensors), strict=True, assign=True)
    return net.eval().requires_grad_(False).to(device=device, dtype=dtype)
