"""The nets of a light voice in torch, as training sees them: whole clips, the past padded with zeros.

The names of their weights are those of the files that the running voice reads (`..weights`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwc_daemon.voices.light import shape


class ContentBlock(nn.Module):
    """One conformer block that sees `reach` frames of the past and `look` of the future."""

    def __init__(self, look: int, reach: int) -> None:
        super().__init__()
        self.look, self.reach = look, reach
        W, I = shape.WIDTH, shape.INNER
        self.norm1, self.up1, self.down1 = nn.LayerNorm(W), nn.Linear(W, I), nn.Linear(I, W)
        self.norm_attend, self.qkv, self.join = nn.LayerNorm(W), nn.Linear(W, 3 * W), nn.Linear(W, W)
        self.norm_mix, self.gate, self.mix = nn.LayerNorm(W), nn.Linear(W, 2 * W), nn.Linear(W, W)
        self.near = nn.Conv1d(W, W, shape.PAST_TAPS + 1 + look, groups=W)
        self.norm2, self.up2, self.down2 = nn.LayerNorm(W), nn.Linear(W, I), nn.Linear(I, W)
        self.norm = nn.LayerNorm(W)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, T, 144] → the same."""
        B, T, W = x.shape
        x = x + 0.5 * self.down1(F.silu(self.up1(self.norm1(x))))
        heads = self.qkv(self.norm_attend(x)).reshape(B, T, 3, shape.HEADS, W // shape.HEADS).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(heads[0], heads[1], heads[2], attn_mask=mask)
        x = x + self.join(y.transpose(1, 2).reshape(B, T, W))
        y = F.glu(self.gate(self.norm_mix(x)), -1).transpose(1, 2)
        y = F.silu(self.near(F.pad(y, (shape.PAST_TAPS, self.look))))
        x = x + self.mix(y.transpose(1, 2))
        x = x + 0.5 * self.down2(F.silu(self.up2(self.norm2(x))))
        normed: Tensor = self.norm(x)
        return normed


class Content(nn.Module):
    """Log-mel frames → what is said, every 20 ms."""

    window: Tensor
    mel: Tensor

    def __init__(self, look: tuple[int, ...] = shape.LOOK, reach: int = shape.REACH, causal: bool = True) -> None:
        super().__init__()
        self.causal, self.reach = causal, reach
        self.first = nn.Conv1d(shape.MELS, shape.WIDTH, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(ContentBlock(ahead, reach) for ahead in look)
        self.phones = nn.Linear(shape.WIDTH, shape.PHONES)
        self.register_buffer("window", torch.hann_window(shape.MEL_WINDOW), persistent=False)
        self.register_buffer("mel", torch.zeros(shape.MEL_WINDOW // 2 + 1, shape.MELS))

    def log_mel(self, x_16k: Tensor) -> Tensor:
        """[B, n] → [B, 80, n // 160 + 1]."""
        frames = F.pad(x_16k, (shape.MEL_WINDOW // 2,) * 2).unfold(-1, shape.MEL_WINDOW, shape.HOP_16K)
        spectrum = torch.view_as_real(torch.fft.rfft(frames * self.window))
        power = spectrum.square().sum(-1) @ self.mel
        return torch.log(power.clamp(min=shape.QUIETEST_MEL)).transpose(1, 2)

    def forward(self, mel: Tensor) -> tuple[list[Tensor], Tensor]:
        """[B, 80, M] → each block's result [B, T, 144], and the scores of the phones [B, T, 191]."""
        x = F.gelu(self.first(mel)).transpose(1, 2)
        at = torch.arange(x.shape[1], device=x.device)
        age = at[:, None] - at[None]
        mask = (age >= 0) & (age < self.reach) if self.causal else torch.ones_like(age, dtype=torch.bool)
        results = []
        for block in self.blocks:
            x = block(x, mask)
            results.append(x)
        return results, self.phones(x)

    def heard(self, x_16k: Tensor) -> Tensor:
        """[B, n] → [B, T, 288]: what the decoder gets."""
        results, _ = self(self.log_mel(x_16k))
        return torch.cat([results[n] for n in shape.TAKEN], -1)


class Decoder(nn.Module):
    """Content, pitch and loudness → sound of the speaker that an embedding names."""

    mean: Tensor
    spread: Tensor
    condition_mean: Tensor
    condition_spread: Tensor
    harmonic_bands: Tensor
    noise_bands: Tensor
    window: Tensor

    def __init__(self, speakers: int) -> None:
        super().__init__()
        C = shape.CHANNELS
        self.pre = nn.Linear(shape.CONTENT, shape.REDUCED)
        self.first = nn.Conv1d(shape.REDUCED + shape.CONDITIONS, C, shape.FIRST_TAPS)
        self.wide = nn.ModuleList(nn.Conv1d(C, C, shape.TAPS, dilation=apart) for apart in shape.DILATIONS)
        self.onward = nn.ModuleList(nn.Conv1d(C, C, 1) for _ in shape.DILATIONS)
        self.last = nn.Conv1d(C, shape.OUTPUTS, 1)
        layers = len(shape.DILATIONS)
        self.speaker = nn.Embedding(speakers, shape.EMBEDDING)
        self.begin = nn.Linear(shape.EMBEDDING, C)
        self.scale = nn.Linear(shape.EMBEDDING, layers * C)
        self.shift = nn.Linear(shape.EMBEDDING, layers * C)
        self.end = nn.Linear(shape.EMBEDDING, shape.OUTPUTS)
        for name, size in (("mean", shape.CONTENT), ("condition_mean", shape.CONDITIONS)):
            self.register_buffer(name, torch.zeros(size))
        for name, size in (("spread", shape.CONTENT), ("condition_spread", shape.CONDITIONS)):
            self.register_buffer(name, torch.ones(size))
        self._begin_from_nothing()
        self.register_buffer("harmonic_bands", torch.from_numpy(shape.bands(100)), persistent=False)
        self.register_buffer("noise_bands", torch.from_numpy(shape.bands(50)), persistent=False)
        self.register_buffer("window", torch.from_numpy(shape.window()), persistent=False)

    def _begin_from_nothing(self) -> None:
        quiet = torch.zeros(shape.OUTPUTS)
        quiet[shape.HARMONIC], quiet[shape.NOISE] = -4.0, -5.0
        with torch.no_grad():
            for part in (self.begin, self.scale, self.shift, self.end):
                part.weight.zero_()
                part.bias.zero_()
            self.last.weight.mul_(0.1)
            self.last.bias = nn.Parameter(quiet)

    def parameters_of_sound(self, content: Tensor, conditions: Tensor, speaker: Tensor) -> Tensor:
        """[B, T, 288], [B, 3, n], [B] → [B, 250, n]."""
        x = self.pre((content - self.mean) / self.spread).transpose(1, 2).repeat_interleave(2, 2)
        x = x[..., : conditions.shape[-1]]
        c = (conditions - self.condition_mean[:, None]) / self.condition_spread[:, None]
        who = self.speaker(speaker)
        x = F.gelu(self.first(F.pad(torch.cat([x, c], 1), (shape.FIRST_TAPS - 1, 0))) + self.begin(who)[..., None])
        scales, shifts = (part(who).view(len(who), len(self.wide), -1, 1) for part in (self.scale, self.shift))
        for n, (wide, onward) in enumerate(zip(self.wide, self.onward, strict=True)):
            past = (shape.TAPS - 1) * shape.DILATIONS[n]
            x = x + onward(F.gelu(wide(F.pad(x, (past, 0)))) * (1 + scales[:, n]) + shifts[:, n])
        answer: Tensor = self.last(x) + self.end(who)[..., None]
        return answer

    def sound(self, parameters: Tensor, pulses: Tensor, noise: Tensor) -> Tensor:
        """[B, 250, n], [B, 240 n] twice → [B, 240 n]."""
        p = parameters.transpose(1, 2)
        harmonic = torch.exp((p[..., shape.HARMONIC] @ self.harmonic_bands).clamp(*shape.LOG_RANGE))
        phase = p[..., shape.PHASE] @ self.harmonic_bands * shape.PHASE_SCALE
        rough = torch.exp((p[..., shape.NOISE] @ self.noise_bands).clamp(*shape.LOG_RANGE))
        tone, hiss = (torch.fft.rfft(self._frames(one) * self.window, shape.FFT) for one in (pulses, noise))
        y = torch.fft.irfft(tone * torch.polar(harmonic, phase) + hiss * rough, shape.FFT)
        y = y[..., : shape.WINDOW] * self.window
        size = (1, (y.shape[1] + 1) * shape.HOP)
        laid = F.fold(y.transpose(1, 2), size, (1, shape.WINDOW), stride=(1, shape.HOP))
        return laid[:, 0, 0, shape.HOP :]

    def forward(self, content: Tensor, conditions: Tensor, speaker: Tensor, pulses: Tensor, noise: Tensor) -> Tensor:
        return self.sound(self.parameters_of_sound(content, conditions, speaker), pulses, noise)

    def _frames(self, x: Tensor) -> Tensor:
        hops = x.shape[-1] // shape.HOP
        return F.pad(x, (shape.HOP, shape.HOP)).unfold(-1, shape.WINDOW, shape.HOP)[:, :hops]


def state_of(net: nn.Module) -> dict[str, np.ndarray]:
    """The weights for a file, in half precision; the mel filters are too fine for that."""
    arrays = {name: value.detach().cpu().float().numpy() for name, value in net.state_dict().items()}
    return {name: one if name == "mel" else one.astype(np.float16) for name, one in arrays.items()}


def fill(net: nn.Module, state: Mapping[str, Any]) -> None:
    """Gives a net the weights of a file."""
    net.load_state_dict({name: torch.from_numpy(np.array(one, np.float32)) for name, one in state.items()})
