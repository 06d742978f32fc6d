"""RMVPE: a U-Net over the mel spectrogram, a recurrent layer over time, 360 pitch bins of 20 cents (docs/rvc.md 6.5).

Wei et al., "RMVPE: a robust model for vocal pitch estimation in polyphonic music" (Interspeech 2023). Modules carry the
names of the published state dict. `load` folds every batch norm into the convolution before it and may run the
convolutions in half precision; spectrum, recurrent layer and decoding stay float32 or finer.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from rwc_daemon.plan import HOP_16K
from rwc_daemon.voices.f0 import weights
from rwc_daemon.voices.f0.mel import BANDS, FFT, LogMel, htk

BINS = 360
CENTS_PER_BIN, FIRST_CENTS = 20, 1997.3794084376191  # above 10 Hz
AROUND = 4  # bins on each side of the greatest over which the pitch is averaged
THRESHOLD = 0.03  # salience at or below which a frame is unvoiced
GRID = 32  # mel frames; the mel is padded to a multiple
SEGMENT = 256 * GRID  # frames that the U-Net is given at once, and beside them
MARGIN = 52 * GRID  # on each side as many as its convolutions reach: cutting changes nothing but rounding


class ConvBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, [1, I, T, M] → [1, O, T, M]."""

    def __init__(self, I: int, O: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(nn.Conv2d(I, O, 3, padding=1, bias=False), nn.BatchNorm2d(O), nn.ReLU()),
            *(nn.Conv2d(O, O, 3, padding=1, bias=False), nn.BatchNorm2d(O), nn.ReLU()),
        )
        self.shortcut = nn.Conv2d(I, O, 1) if I != O else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.shortcut(x)


class Level(nn.Module):
    """`count` blocks on one scale, [1, I, T, M] → [1, O, T, M]."""

    def __init__(self, I: int, O: int, count: int) -> None:
        super().__init__()
        self.conv = blocks(I, O, count)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Down(Level):
    """→ what the decoder will want [1, O, T, M], and the same on the next scale [1, O, T/2, M/2]."""

    def __init__(self, I: int, O: int, count: int, stride: tuple[int, int]) -> None:
        super().__init__(I, O, count)
        self.stride = stride

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        x = self.conv(x)
        return x, F.avg_pool2d(x, self.stride)


class Up(nn.Module):
    """[1, I, T, M] and the encoder's [1, O, 2T, 2M] → [1, O, 2T, 2M]."""

    def __init__(self, I: int, O: int, count: int, stride: tuple[int, int]) -> None:
        super().__init__()
        surplus = (stride[0] - 1, stride[1] - 1)
        up = nn.ConvTranspose2d(I, O, 3, stride, padding=1, output_padding=surplus, bias=False)
        self.conv1 = nn.Sequential(up, nn.BatchNorm2d(O), nn.ReLU())
        self.conv2 = blocks(2 * O, O, count)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv2(torch.cat([self.conv1(x), skip], dim=1))


def blocks(I: int, O: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ConvBlock(O if n else I, O) for n in range(count)))


class Encoder(nn.Module):
    def __init__(self, widths: list[int], count: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.dtype = torch.float32
        self.bn = nn.BatchNorm2d(widths[0])
        self.layers = nn.ModuleList(Down(I, O, count, stride) for I, O in pairwise(widths))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.bn(x).to(self.dtype)
        skips = []
        for down in self.layers:
            skip, x = down(x)
            skips.append(skip)
        return x, skips


class Intermediate(nn.Module):
    def __init__(self, I: int, O: int, count: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Level(O if n else I, O, count) for n in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Decoder(nn.Module):
    def __init__(self, widths: list[int], count: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Up(I, O, count, stride) for I, O in pairwise(widths))

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        for up, skip in zip(self.layers, reversed(skips), strict=True):
            x = up(x, skip)
        return x


class UNet(nn.Module):
    """[1, I, T, M] → [1, C, T, M]; T and M are multiples of stride^levels."""

    def __init__(self, I: int, C: int, levels: int, inter_layers: int, count: int, stride: tuple[int, int]) -> None:
        super().__init__()
        widths = [C << level for level in range(levels + 1)]
        self.encoder = Encoder([I, *widths[:-1]], count, stride)
        self.intermediate = Intermediate(widths[-2], widths[-1], count, inter_layers)
        self.decoder = Decoder(widths[::-1], count, stride)

    def forward(self, x: Tensor) -> Tensor:
        x, skips = self.encoder(x)
        return self.decoder(self.intermediate(x), skips)


class Recurrent(nn.Module):
    """[1, T, I] → [1, T, 2H], both directions."""

    def __init__(self, I: int, H: int, layers: int) -> None:
        super().__init__()
        self.gru = nn.GRU(I, H, layers, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x)[0]


class Rmvpe(nn.Module):
    """The net and the tracker; the defaults are those of the published weights."""

    name = "rmvpe"

    def __init__(
        self,
        n_blocks: int = 4,
        n_gru: int = 1,
        kernel_size: tuple[int, int] = (2, 2),
        en_de_layers: int = 5,
        inter_layers: int = 4,
        in_channels: int = 1,
        en_out_channels: int = 16,
    ) -> None:
        super().__init__()
        stride = (kernel_size[0], kernel_size[1])
        self.unet = UNet(in_channels, en_out_channels, en_de_layers, inter_layers, n_blocks, stride)
        self.cnn = nn.Conv2d(en_out_channels, 3, 3, padding=1)
        self.fc = nn.Sequential(Recurrent(3 * BANDS, 256, n_gru), nn.Linear(512, BINS))
        self.log_mel = LogMel(htk(30, 8000, BANDS + 2))

    @classmethod
    def load(cls, path: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Rmvpe:
        """From safetensors, which say how large it is; `dtype` is what the convolutions run in. Raises BadModel."""
        state = weights.read(path)
        with torch.device("meta"):
            net = cls(**_sizes(state))
        return net.fill(state).to_precision(dtype).to(device)

    def fill(self, state: Mapping[str, Tensor]) -> Rmvpe:
        """Takes a published state dict and folds the batch norms away; itself, ready."""
        weights.fill(self, state, self.name)
        self.eval().requires_grad_(False)
        for module in self.unet.modules():
            if isinstance(module, nn.Sequential):
                _fold(module)
        return self

    def to_precision(self, dtype: torch.dtype) -> Rmvpe:
        """The convolutions in `dtype`; the first norm, which sees the raw logarithms, and what follows in float32."""
        for part in (self.unet, self.cnn):
            part.to(dtype)
            if dtype != torch.float32:
                convert_conv2d_weight_memory_format(part, torch.channels_last)  # as matrix units want it
        self.unet.encoder.bn.float()
        self.unet.encoder.dtype = dtype
        return self

    @torch.inference_mode()
    def track(self, x_16k: np.ndarray) -> np.ndarray:
        """f32[N] → f32[N // 160 + 1]: Hz, 0 where unvoiced."""
        return self.hz(torch.from_numpy(np.asarray(x_16k, np.float32)).to(self.log_mel.window.device)).cpu().numpy()

    def hz(self, x: Tensor) -> Tensor:
        """The same where the net lies."""
        return decode(self.salience(self.mel(x))[0]).float()

    def mel(self, x: Tensor) -> Tensor:
        """f32[N] → f32[1, 128, N // 160 + 1]; frames centred, the sound mirrored at its ends."""
        frames = len(x) // HOP_16K + 1
        if len(x) <= FFT // 2:  # too short to be mirrored
            x = F.pad(x, (0, FFT // 2 + 1 - len(x)))
        return self.log_mel(F.pad(x[None], (FFT // 2, FFT // 2), mode="reflect")[0])[:, :, :frames]

    def salience(self, mel: Tensor) -> Tensor:
        """f32[1, 128, T] → f32[1, T, 360] in 0 … 1."""
        T = mel.shape[-1]
        rows = F.pad(mel, (0, -T % GRID)).transpose(1, 2)[:, None]
        x = self._features(rows).float().transpose(1, 2).flatten(2)
        return torch.sigmoid(self.fc(x))[:, :T]

    def _features(self, rows: Tensor) -> Tensor:
        """[1, 1, T, 128] → [1, 3, T, 128]; long sounds piece by piece, so that memory is bounded."""
        T = rows.shape[2]
        if T <= SEGMENT + 2 * MARGIN:
            return self.cnn(self.unet(rows))
        pieces = []
        for start in range(0, T, SEGMENT):
            first = max(0, start - MARGIN)
            piece = self.cnn(self.unet(rows[:, :, first : start + SEGMENT + MARGIN]))
            pieces.append(piece[:, :, start - first : start - first + SEGMENT])
        return torch.cat(pieces, dim=2)


def decode(salience: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """f32[T, 360] → f64[T] Hz: the mean of the nine bins around the greatest, weighted by salience.

    0 where none exceeds `threshold`; bins beyond the ends weigh nothing.
    """
    padded = F.pad(salience.double(), (AROUND, AROUND))
    near = salience.argmax(dim=1, keepdim=True) + torch.arange(2 * AROUND + 1, device=salience.device)
    weight = padded.gather(1, near)
    cents = (weight * (CENTS_PER_BIN * (near - AROUND) + FIRST_CENTS)).sum(1) / weight.sum(1)
    voiced = salience.amax(dim=1) > threshold
    return torch.where(voiced, 10 * 2 ** (cents / 1200), 0)


def _sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the constructor wants to know; nothing where the file is another net, which `fill` then says."""
    found = {
        "n_blocks": weights.count(state, "unet.encoder.layers.0.conv."),
        "en_de_layers": weights.count(state, "unet.encoder.layers."),
        "inter_layers": weights.count(state, "unet.intermediate.layers."),
        "en_out_channels": weights.size(state, "cnn.weight", 1),
    }
    return found if all(found.values()) else {}


def _fold(layers: nn.Sequential) -> None:
    """Each batch norm into the convolution before it, in place."""
    for n in range(len(layers) - 1):
        conv, norm = layers[n], layers[n + 1]
        if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
            layers[n] = fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d))
            layers[n + 1] = nn.Identity()
