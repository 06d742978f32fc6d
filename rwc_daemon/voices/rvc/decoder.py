"""The decoder: latent frames → samples, led by a sine that follows the pitch (voices with f0), or alone.

    phase[t,k] = phase0 + sum_{s<t} U f[s]/rate + (k+1) f[t]/rate        cycles; U samples per frame, k = 0 … U-1
    source     = tanh( w . (0.1 sin(2 pi h phase) + noise) + b )         h = 1 … harmonics

Then stages of upsampling, each of which hears the source through a strided convolution and ends in the mean of several
residual blocks. Noise and phase are arguments: whoever owns them decides whether two renderings agree.

Inside, a signal is a picture one row high, [B, C, 1, N]: only pictures can be stored channels-last, the order in which
half precision runs without copies.

Shapes: B batch, T frames, N = T*U samples, D harmonics, C channels. Source: spec sections 3.7 – 3.9; the variants of
Applio (odd rates, several harmonics) from its public layout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwc_daemon.store.layout import SynthConfig

SLOPE, LAST_SLOPE = 0.1, 0.01
SINE_LEVEL = 0.1
VOICED_NOISE, UNVOICED_NOISE = 0.003, SINE_LEVEL / 3


class Source(nn.Module):
    """Pitch → excitation: f0 [B, T] Hz (0 unvoiced), noise [B, N, D], phase [B, D] cycles → [B, 1, N]."""

    def __init__(self, c: SynthConfig) -> None:
        super().__init__()
        self.rate, self.hop, self.harmonics = c.rate, c.hop, c.harmonics
        self.l_linear = nn.Linear(c.harmonics, 1)

    def excite(self, f0: Tensor, noise: Tensor, phase: Tensor) -> Tensor:
        """[B, N, D] before the mixing, float32: the phase needs more digits than half precision has."""
        B, T = f0.shape
        step = f0.double() / self.rate
        start = self.hop * (step.cumsum(1) - step)
        ramp = torch.arange(1, self.hop + 1, device=f0.device, dtype=step.dtype)
        turns = (start.unsqueeze(-1) + step.unsqueeze(-1) * ramp).view(B, T * self.hop, 1)
        harmonic = torch.arange(1, self.harmonics + 1, device=f0.device, dtype=step.dtype)
        turns = turns * harmonic + phase.unsqueeze(1)
        sine = SINE_LEVEL * torch.sin(2 * math.pi * (turns - turns.floor())).float()
        voiced = (f0 > 0).float().unsqueeze(-1).expand(B, T, self.hop).reshape(B, T * self.hop, 1)
        return sine * voiced + (VOICED_NOISE * voiced + UNVOICED_NOISE * (1 - voiced)) * noise

    def forward(self, f0: Tensor, noise: Tensor, phase: Tensor) -> Tensor:
        e = self.excite(f0.float(), noise.float(), phase)
        return self.l_linear(e.to(self.l_linear.weight.dtype)).tanh().mT


class PairBlock(nn.Module):
    """Residual block "1": each step is a dilated convolution and a plain one. x [B, C, 1, N] → the same."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_same(width, kernel, d) for d in dilations)
        self.convs2 = nn.ModuleList(_same(width, kernel, 1) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, SLOPE)), SLOPE))
        return x


class SingleBlock(nn.Module):
    """Residual block "2": each step is one dilated convolution."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_same(width, kernel, d) for d in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for dilated in self.convs:
            x = x + dilated(F.leaky_relu(x, SLOPE))
        return x


class Decoder(nn.Module):
    """z [B, inter, T], g [B, G, 1] (and the source's arguments) → samples [B, 1, N] within -1 … 1."""

    def __init__(self, c: SynthConfig) -> None:
        super().__init__()
        self.hop, self.blocks = c.hop, len(c.resblock_kernels)
        self.conv_pre = _conv(c.inter, c.initial, 7, padding=3)
        self.cond = _conv(c.gin, c.initial, 1)
        if c.f0:
            self.m_source = Source(c)
            self.noise_convs = nn.ModuleList(_source_conv(c, i) for i in range(c.stages))
        self.f0 = c.f0
        self.ups = nn.ModuleList(_upsampler(c, i) for i in range(c.stages))
        block = PairBlock if c.resblock == "1" else SingleBlock
        self.resblocks = nn.ModuleList(
            block(c.width(i + 1), kernel, dilations)
            for i in range(c.stages)
            for kernel, dilations in zip(c.resblock_kernels, c.resblock_dilations, strict=True)
        )
        self.conv_post = _conv(c.width(c.stages), 1, 7, padding=3, bias=c.post_bias)

    def forward(self, z: Tensor, g: Tensor, source: Tensor | None = None, frames: int | None = None) -> Tensor:
        """`source` [B, 1, N] from `m_source`; `frames`: stretch latent and source to so many frames (formant shift)."""
        if frames is not None and frames != z.shape[-1]:
            z = stretched(z, frames)
            source = None if source is None else stretched(source, frames * self.hop)
        x = self.conv_pre(z.unsqueeze(2)) + self.cond(g.unsqueeze(2))
        for i, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            if source is not None:
                x = x + self.noise_convs[i](source.unsqueeze(2))
            x = self.mean_of_blocks(i, x)
        x = F.leaky_relu(x, LAST_SLOPE).to(self.conv_post.weight.dtype)
        return self.conv_post(x).tanh().squeeze(2)

    def mean_of_blocks(self, stage: int, x: Tensor) -> Tensor:
        J = self.blocks
        total = self.resblocks[stage * J](x)
        for j in range(1, J):
            total = total + self.resblocks[stage * J + j](x)
        return total / J


def stretched(x: Tensor, length: int) -> Tensor:
    """[B, C, N] → [B, C, length], linear between half-pixel centres."""
    return F.interpolate(x, size=length, mode="linear", align_corners=False)


def pictured(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A voice's folded tensors, the decoder's kernels as pictures one row high."""
    kernels = [name for name, tensor in tensors.items() if name.startswith("dec.") and tensor.dim() == 3]
    return {**tensors, **{name: tensors[name].unsqueeze(2) for name in kernels}}


def _conv(
    into: int, out: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, bias: bool = True
) -> nn.Conv2d:
    return nn.Conv2d(into, out, (1, kernel), (1, stride), (0, padding), (1, dilation), bias=bias)


def _same(width: int, kernel: int, dilation: int) -> nn.Conv2d:
    return _conv(width, width, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)


def _source_conv(c: SynthConfig, stage: int) -> nn.Conv2d:
    stride, kernel = c.stride(stage), c.source_kernel(stage)
    return _conv(1, c.width(stage + 1), kernel, stride, padding=(kernel - stride) // 2)


def _upsampler(c: SynthConfig, stage: int) -> nn.ConvTranspose2d:
    rate, kernel = c.rates[stage], c.upsample_kernels[stage]
    odd = rate % 2  # then the kernel is twice the rate, and one more sample makes the length exact
    padding = (kernel - rate + odd) // 2
    into, out = c.width(stage), c.width(stage + 1)
    return nn.ConvTranspose2d(into, out, (1, kernel), (1, rate), (0, padding), output_padding=(0, odd))
