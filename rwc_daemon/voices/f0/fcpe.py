"""FCPE: convolutions over the mel spectrogram, 360 pitch bins (docs/rvc.md 6.6). Four times cheaper than rmvpe or more.

Luo et al., "FCPE: a fast context-based pitch estimation model"; the convolution-only net that torchfcpe carries, with
the names of its state dict. Only the group norm looks beyond 92 frames: its statistics are the whole window's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwc_daemon.plan import HOP_16K
from rwc_daemon.voices.backends.choice import pack
from rwc_daemon.voices.f0 import weights
from rwc_daemon.voices.f0.mel import BANDS, FFT, LogMel, slaney
from rwc_daemon.voices.layers import Conv, pictured

BINS = 360
LOWEST_HZ, HIGHEST_HZ = 32.7, 1975.5  # of the first and the last bin
AROUND = 4  # bins on each side of the greatest over which the pitch is averaged
PICTURED = tuple(f".conformer.net.{part}.weight" for part in ("2", "4.conv", "6"))
GROUPS = 4  # of channels that the first norm treats together
THRESHOLD = 0.006
LEFT = (FFT - HOP_16K) // 2  # samples of padding


class Swap(nn.Module):
    """[1, A, B] → [1, B, A]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class Depthwise(nn.Module):
    """One kernel per channel, [1, C, T] → [1, C, T]; as a picture channels-last ten times faster than as a signal."""

    def __init__(self, C: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(C, C, (1, kernel), padding=(0, kernel // 2), groups=C)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return self.conv(x).squeeze(2)


class Conformer(nn.Module):
    """The convolution module of a conformer, [1, T, C] → [1, T, C]."""

    def __init__(self, C: int, kernel: int = 31) -> None:
        super().__init__()
        inner = 2 * C
        self.net = nn.Sequential(
            *(nn.LayerNorm(C), Swap(), Conv(C, 2 * inner, 1), nn.GLU(dim=1)),
            *(Depthwise(inner, kernel), nn.SiLU(), Conv(inner, C, 1), Swap()),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Layer(nn.Module):
    kind, fused = "conformer", cast(Any, None)

    def __init__(self, C: int) -> None:
        super().__init__()
        self.conformer = Conformer(C)

    def forward(self, x: Tensor) -> Tensor:
        if self.fused is not None and self.fused.takes(x):
            return self.fused(x)
        return x + self.conformer(x)

    def parts(self) -> dict[str, Any]:
        parts: Any = self.conformer.net
        norm, _, up, _, depthwise, _, down, _ = parts
        taps, bias = depthwise.conv.weight.flatten(1), depthwise.conv.bias
        return {"up": up, "taps": taps, "bias": bias, "down": down, "norm": (norm.weight, norm.bias)}


class Layers(nn.Module):
    def __init__(self, C: int, count: int) -> None:
        super().__init__()
        self.encoder_layers = nn.ModuleList(Layer(C) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.encoder_layers:
            x = layer(x)
        return x


class NormedLinear(nn.Module):
    """A linear layer whose rows have the length `weight_g`."""

    def __init__(self, I: int, O: int) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(O, 1))
        self.weight_v = nn.Parameter(torch.randn(O, I))
        self.bias = nn.Parameter(torch.zeros(O))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_g * F.normalize(self.weight_v, dim=1), self.bias)


class Fcpe(nn.Module):
    """The net and the tracker; the defaults are those of the published weights."""

    name = "fcpe"

    def __init__(self, hidden: int = 512, layers: int = 6) -> None:
        super().__init__()
        C = hidden
        self.input_stack = nn.Sequential(
            *(nn.Conv1d(BANDS, C, 3, padding=1), nn.GroupNorm(GROUPS, C)),
            *(nn.LeakyReLU(), nn.Conv1d(C, C, 3, padding=1)),
        )
        self.net = Layers(C, layers)
        self.norm = nn.LayerNorm(C)
        self.output_proj = NormedLinear(C, BINS)
        self.log_mel = LogMel(slaney(0, 8000, BANDS + 2), inside_root=1e-9)
        self.dtype = torch.float32

    @classmethod
    def load(cls, path: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Fcpe:
        """From safetensors, which say how large the net is; `dtype` is what the conformers run in. Raises BadModel."""
        state = weights.read(path)
        hidden, layers = weights.size(state, "norm.weight", 0), weights.count(state, "net.encoder_layers.")
        with torch.device("meta"):
            net = cls(hidden, layers) if hidden and hidden % GROUPS == 0 else cls()
        net.fill(state).to_precision(dtype).to(device)
        pack(net.net)
        return net

    def fill(self, state: Mapping[str, Tensor]) -> Fcpe:
        """Takes a published state dict; itself, ready."""
        layers = [f"net.encoder_layers.{n}" for n in range(len(self.net.encoder_layers))]
        unused = {
            f"{layer}.norm.{part}" for layer in layers for part in ("weight", "bias")
        }  # of attention, not built here
        state = pictured(state, lambda name: name.endswith(PICTURED))
        weights.fill(self, state, self.name, spare=unused | {"cent_table", "gaussian_blurred_cent_mask"})
        return self.eval().requires_grad_(False)

    def to_precision(self, dtype: torch.dtype) -> Fcpe:
        self.dtype = dtype
        self.net.to(dtype)
        return self

    @torch.inference_mode()
    def track(self, x_16k: np.ndarray) -> np.ndarray:
        """f32[N] → f32[N // 160 + 1]: Hz, 0 where unvoiced."""
        return self.hz(torch.from_numpy(np.asarray(x_16k, np.float32)).to(self.norm.weight.device)).cpu().numpy()

    def hz(self, x: Tensor) -> Tensor:
        """The same where the net lies."""
        return decode(self.salience(self.mel(x))[0])

    def mel(self, x: Tensor) -> Tensor:
        """f32[N] → f32[1, 128, N // 160 + 1]; the last frame is repeated where the sound ends before it."""
        N = len(x)
        right = max(LEFT, FFT - N - LEFT)
        mode = "reflect" if right < N else "constant"
        mel = self.log_mel(F.pad(x[None], (LEFT, right), mode=mode)[0])
        frames = N // HOP_16K + 1
        return F.pad(mel, (0, max(0, frames - mel.shape[-1])), mode="replicate")[:, :, :frames]

    def salience(self, mel: Tensor) -> Tensor:
        """f32[1, 128, T] → f32[1, T, 360] in 0 … 1 (torchfcpe: the latent)."""
        x = self.input_stack(mel).transpose(1, 2)
        x = self.net(x.to(self.dtype))
        return torch.sigmoid(self.output_proj(self.norm(x.float())))


def decode(salience: Tensor, threshold: float = THRESHOLD, local: bool = True) -> Tensor:
    """f32[T, 360] → f32[T] Hz: the mean of the bins weighted by salience; 0 where none exceeds `threshold`.

    `local`: of the nine bins around the greatest, a bin at the edge standing in for those beyond; else of all bins.
    """
    low, high = (1200 * math.log2(hz / 10) for hz in (LOWEST_HZ, HIGHEST_HZ))
    table = torch.linspace(low, high, BINS, device=salience.device).expand_as(salience)
    weight = salience
    if local:
        step = torch.arange(-AROUND, AROUND + 1, device=salience.device)
        near = (salience.argmax(dim=1, keepdim=True) + step).clamp(0, BINS - 1)
        weight, table = salience.gather(1, near), table.gather(1, near)
    cents = (weight * table).sum(1) / weight.sum(1)
    return torch.where(salience.amax(dim=1) > threshold, 10 * 2 ** (cents / 1200), 0)
