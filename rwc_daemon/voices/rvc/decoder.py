"""The decoder: latent frames → samples, led by a sine that follows the pitch (voices with f0), or alone.

    phase[t,k] = phase0 + sum_{s<t} U f[s]/rate + (k+1) f[t]/rate        cycles; U samples per frame, k = 0 … U-1
    source     = tanh( w . (0.1 sin(2 pi h phase) + noise) + b )         h = 1 … harmonics

Then stages of upsampling, each of which hears the source through a strided convolution and ends in the mean of several
residual blocks. Noise and phase are arguments: whoever owns them decides whether two renderings agree.

Inside, a signal is a picture one row high, [B, C, 1, N]: only pictures can be stored channels-last, the order in which
half precision runs without copies.

Shapes: B batch, T frames, N = T*U samples, D harmonics, C channels. Source: docs/rvc.md sections 3.7 – 3.9; the
variants of Applio (odd rates, several harmonics) from its public layout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwc_daemon.store.layout import SynthConfig
from rwc_daemon.voices.layers import Conv, Up

SLOPE, LAST_SLOPE = 0.1, 0.01
POST_REACH = 3  # columns that the first and the last convolution hear each way
SINE_LEVEL = 0.1
VOICED_NOISE, UNVOICED_NOISE = 0.003, SINE_LEVEL / 3
Span = tuple[int, int]  # first, and one behind the last


class HarmonicSource(nn.Module):
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


@dataclass(frozen=True)
class Reaches:
    """How far each stage hears, so that only what is wanted is computed."""

    rates: tuple[int, ...]
    strides: tuple[int, ...]
    """Samples of the result per column of a stage's output."""
    blocks: tuple[int, ...]
    """Columns that a stage's residual blocks hear each way."""
    kernels: tuple[int, ...]
    """Of the upsampling."""

    @classmethod
    def of(cls, c: SynthConfig) -> Reaches:
        pairs = zip(c.resblock_kernels, c.resblock_dilations, strict=True)
        plain = 1 if c.resblock == "1" else 0  # each dilated convolution has a plain one behind it
        reach = max((k - 1) // 2 * sum(d + plain for d in dilations) for k, dilations in pairs)
        stages = range(c.stages)
        return cls(c.rates, tuple(c.stride(i) for i in stages), (reach,) * c.stages, c.upsample_kernels)

    def heard(self, wanted: Span, frames: int) -> list[Span]:
        """Columns of each stage's input, and of the last convolution's, that the samples `wanted` depend on."""
        columns = frames * self.strides[0] * self.rates[0]
        spans = [clipped(wanted, POST_REACH, columns)]
        for rate, reach, kernel in zip(self.rates[::-1], self.blocks[::-1], self.kernels[::-1], strict=True):
            first, last = clipped(spans[0], reach, columns)
            columns //= rate
            spans.insert(0, clipped((first // rate, -(-last // rate)), -(-kernel // rate), columns))
        return spans

    @property
    def frames(self) -> int:
        """Frames that one sample hears each way."""
        middle = 1 << 10
        hop = self.strides[0] * self.rates[0]
        first, _ = self.heard((middle * hop, middle * hop + 1), 2 * middle)[0]
        return middle - first + POST_REACH


def clipped(span: Span, more: int, length: int) -> Span:
    """`span` and `more` at both ends, within 0 … `length`."""
    return max(0, span[0] - more), min(length, span[1] + more)


class PairBlock(nn.Module):
    """Residual block "1": a step is a dilated convolution and a plain one. x [B, C, 1, N] and its leaky ReLU → as x."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_same(width, kernel, d) for d in dilations)
        self.convs2 = nn.ModuleList(_same(width, kernel, 1) for _ in dilations)

    def forward(self, x: Tensor, leaky: Tensor) -> Tensor:
        for dilated, plain in self.steps:
            x, leaky = plain.plus(dilated(leaky, SLOPE), x, SLOPE)
        return x

    @property
    def steps(self) -> list[tuple[Conv, Conv]]:
        return [(cast(Conv, one), cast(Conv, two)) for one, two in zip(self.convs1, self.convs2, strict=True)]


class SingleBlock(nn.Module):
    """Residual block "2": each step is one dilated convolution."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_same(width, kernel, d) for d in dilations)

    def forward(self, x: Tensor, leaky: Tensor) -> Tensor:
        for (dilated,) in self.steps:
            x, leaky = dilated.plus(leaky, x, SLOPE)
        return x

    @property
    def steps(self) -> list[tuple[Conv]]:
        return [(cast(Conv, conv),) for conv in self.convs]


class Decoder(nn.Module):
    """z [B, inter, T], g [B, G, 1] (and the source's arguments) → samples [B, 1, N] within -1 … 1."""

    kind, fused = "stages", cast(Any, None)

    def __init__(self, c: SynthConfig) -> None:
        super().__init__()
        self.hop, self.blocks = c.hop, len(c.resblock_kernels)
        self.reaches = Reaches.of(c)
        self.conv_pre = Conv(c.inter, c.initial, 7, padding=POST_REACH)
        self.cond = Conv(c.gin, c.initial, 1)
        if c.f0:
            self.m_source = HarmonicSource(c)
            self.noise_convs = nn.ModuleList(_source_conv(c, i) for i in range(c.stages))
        self.f0 = c.f0
        self.ups = nn.ModuleList(
            Up(c.width(i), c.width(i + 1), c.upsample_kernels[i], c.rates[i]) for i in range(c.stages)
        )
        block = PairBlock if c.resblock == "1" else SingleBlock
        self.resblocks = nn.ModuleList(
            block(c.width(i + 1), kernel, dilations)
            for i in range(c.stages)
            for kernel, dilations in zip(c.resblock_kernels, c.resblock_dilations, strict=True)
        )
        self.conv_post = Conv(c.width(c.stages), 1, 7, padding=POST_REACH, bias=c.post_bias)

    def parts(self) -> dict[str, Any]:
        J = self.blocks
        blocks: Any = self.resblocks
        return {"each": [blocks[n : n + J] for n in range(0, len(blocks), J)], "slope": SLOPE}

    def forward(
        self,
        z: Tensor,
        g: Tensor,
        source: Tensor | None = None,
        wanted: Span | None = None,
    ) -> Tensor:
        """`source` [B, 1, N] from `m_source`; `wanted`: only these samples are answered, and what they cannot hear is
        not computed."""
        wanted = wanted or (0, z.shape[-1] * self.hop)
        heard = self.reaches.heard(wanted, z.shape[-1])
        x = F.leaky_relu(self.conv_pre(z.unsqueeze(2)) + self.cond(g.unsqueeze(2)), SLOPE)
        slopes = [SLOPE] * (len(self.ups) - 1) + [LAST_SLOPE]
        at = 0  # of the first column of x, in columns of the whole
        for i, up in enumerate(self.ups):
            first, last = heard[i]
            x = x[..., first - at : last - at]
            at, columns = (n * self.reaches.rates[i] for n in (first, last - first))
            x = up(x) if source is None else cast(Up, up).plus(x, self._lead(i, source, at, columns))
            x = self.blocks_of(i, x, slopes[i])
        first, last = heard[-1]
        y = self.conv_post(x[..., first - at : last - at].to(self.conv_post.weight.dtype)).tanh().squeeze(2)
        return y[..., wanted[0] - first : wanted[1] - first]

    def _lead(self, stage: int, source: Tensor, first: int, columns: int) -> Tensor:
        """What a stage hears of the source: `columns` from `first` on. One more at each end sees its edge."""
        stride = self.reaches.strides[stage]
        before, behind = min(1, first), min(1, source.shape[-1] // stride - first - columns)
        part = source[..., (first - before) * stride : (first + columns + behind) * stride]
        return self.noise_convs[stage](part.unsqueeze(2))[..., before : before + columns]

    def blocks_of(self, stage: int, x: Tensor, slope: float) -> Tensor:
        """A leaky ReLU of the mean of a stage's residual blocks."""
        fused = None if self.fused is None else self.fused[stage]
        if fused is not None and fused.takes(x):
            return fused(x, slope)
        J, leaky = self.blocks, F.leaky_relu(x, SLOPE)
        total = self.resblocks[stage * J](x, leaky)
        for j in range(1, J):
            total = total + self.resblocks[stage * J + j](x, leaky)
        return F.leaky_relu(total / J, slope)


def stretched(x: Tensor, length: int) -> Tensor:
    """[B, C, N] → [B, C, length], linear between half-pixel centres."""
    return F.interpolate(x, size=length, mode="linear", align_corners=False)


def on_grid(x: Tensor, length: int, ratio: float, shift: float) -> Tensor:
    """As `stretched`, but exactly by `ratio`, and from `shift` places before the first on: [B, C, length]."""
    at = (torch.arange(length, device=x.device, dtype=torch.float64) + 0.5 - shift) / ratio - 0.5
    at = at.clamp(0, x.shape[-1] - 1)
    low = at.long()
    part = (at - low).to(x.dtype)
    return torch.lerp(x[..., low], x[..., (low + 1).clamp(max=x.shape[-1] - 1)], part)


def _same(width: int, kernel: int, dilation: int) -> Conv:
    return Conv(width, width, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)


def _source_conv(c: SynthConfig, stage: int) -> Conv:
    stride, kernel = c.stride(stage), c.source_kernel(stage)
    return Conv(1, c.width(stage + 1), kernel, stride, padding=(kernel - stride) // 2)
