"""The phoneme recogniser `hama`: its file, and a content encoder that begins with its weights.

The file is a table of named tensors: magic (8 bytes), their number (u32), and for each its name's length (u16), name,
type (0: float32, else float16), number of dimensions (a byte each), dimensions (u32 each), offset and size (u64 each),
where offsets count from the end of the table.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch

from rwc_daemon.voices.light import shape
from rwc_daemon.voices.light.training.nets import Content

FULL_LOOK = (15, 15, 15, 15)
PADDING = 12  # bytes between the table and the tensors
# ours ← theirs; matrices without names come in the order of their use
_NAMED = {
    "norm1": "ffn1.norm",
    "norm_attend": "attn_norm",
    "norm_mix": "conv.norm",
    "norm2": "ffn2.norm",
    "norm": "norm",
}
_BIASES = {
    "up1": "ffn1.fc1",
    "down1": "ffn1.fc2",
    "up2": "ffn2.fc1",
    "down2": "ffn2.fc2",
}
_MATRICES = ("up1", "down1", "qkv", "join", "up2", "down2")


def tensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the file."""
    data = path.read_bytes()
    (count,) = struct.unpack_from("<I", data, 8)
    at = 12
    table = []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        kind, dimensions = data[at], data[at + 1]
        dims = struct.unpack_from(f"<{dimensions}I", data, at + 2)
        offset, _size = struct.unpack_from("<QQ", data, at + 2 + 4 * dimensions)
        at += 18 + 4 * dimensions
        table.append((name, np.float16 if kind else np.float32, dims, offset))
    begin = at + PADDING
    return {
        name: np.frombuffer(data, kind, int(np.prod(dims)), begin + offset).reshape(dims).astype(np.float32)
        for name, kind, dims, offset in table
    }


def content(path: Path, full: bool = False) -> Content:
    """The content encoder with the recogniser's weights. `full`: as it is, seeing past and future of the whole clip;
    otherwise cut to what a live voice can see, which is to be trained before use."""
    net = Content(FULL_LOOK, causal=False) if full else Content()
    theirs = tensors(path)
    state = {name: torch.from_numpy(one) for name, one in _renamed(theirs, FULL_LOOK if full else shape.LOOK).items()}
    net.load_state_dict(state)
    return net.eval()


def _renamed(theirs: dict[str, np.ndarray], look: tuple[int, ...]) -> dict[str, np.ndarray]:
    def numbered(mark: str) -> list[str]:
        return sorted((name for name in theirs if mark in name), key=lambda name: int(name.split("_")[1]))

    matrices, convolutions = numbered("MatMul"), numbered("::Conv_")
    ours = {
        "first.weight": theirs[convolutions[0]],
        "first.bias": theirs[convolutions[1]],
        "mel": theirs["mel_fb"].reshape(shape.MEL_WINDOW // 2 + 1, shape.MELS),
        "phones.weight": theirs["acoustic_model.model.proj.weight"][..., 0],
        "phones.bias": theirs["acoustic_model.model.proj.bias"],
    }
    for n in range(shape.BLOCKS):
        own, their = f"blocks.{n}", f"acoustic_model.model.blocks.{n}"
        for mine, name in _NAMED.items():
            for kind in ("weight", "bias"):
                ours[f"{own}.{mine}.{kind}"] = theirs[f"{their}.{name}.{kind}"]
        for mine, name in _BIASES.items():
            ours[f"{own}.{mine}.bias"] = theirs[f"{their}.{name}.bias"]
        ours[f"{own}.qkv.bias"] = theirs[f"{their}.attn.in_proj_bias"]
        ours[f"{own}.join.bias"] = theirs[f"{their}.attn.out_proj.bias"]
        for place, mine in enumerate(_MATRICES):
            ours[f"{own}.{mine}.weight"] = theirs[matrices[6 * n + place]].T.copy()
        for mine, name in (("gate", "conv.pointwise1"), ("mix", "conv.pointwise2")):
            ours[f"{own}.{mine}.weight"] = theirs[f"{their}.{name}.weight"][..., 0]
            ours[f"{own}.{mine}.bias"] = theirs[f"{their}.{name}.bias"]
        ours[f"{own}.near.weight"] = theirs[convolutions[2 + 2 * n]][..., : shape.PAST_TAPS + 1 + look[n]].copy()
        ours[f"{own}.near.bias"] = theirs[convolutions[3 + 2 * n]]
    return ours
