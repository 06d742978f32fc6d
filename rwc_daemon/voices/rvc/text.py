"""The text encoder: content features and coarse pitch → mean and spread of the latent, frame by frame.

A post-norm transformer whose attention also knows how far apart two frames are, up to 10 frames each way:

    S[i,j] = (q_i . k_j + q_i . E_K[j-i]) / sqrt(D)        E_K and E_V are zero beyond the reach
    o_i    = sum_j P[i,j] (v_j + E_V[j-i])                 P = softmax_j(S)

Shapes: B batch, T frames of 10 ms, C content width, H width, N heads, D = H/N. Source: docs/rvc.md sections 3.2 – 3.4.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwc_daemon.store.layout import ATTENTION_REACH, PITCH_BINS, SynthConfig
from rwc_daemon.voices.layers import Conv, Dense, masked

MASKED = -1e4
SLOPE = 0.1


def band(x: Tensor) -> Tensor:
    """The diagonal band of `x` [..., T, T + 2R] as a view [..., T, 2R + 1]: row i shows columns i … i + 2R.

    One row down and one column right is one step of `row length + 1` in memory.
    """
    *batch, T, W = x.shape
    *outer, down, right = x.stride()
    return x.as_strided((*batch, T, W - T + 1), (*outer, down + right, right), x.storage_offset())


class ChannelNorm(nn.Module):
    """Layer norm over the channels of [B, H, T]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.mT, self.gamma.shape, self.gamma, self.beta, eps=1e-5).mT


class RelativeAttention(nn.Module):
    """x [B, H, T], allowed [B, 1, T, T] (None: all) → [B, H, T]. Query, key and value are one convolution."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.conv_qkv, self.conv_o = Conv(width, 3 * width, 1), Conv(width, width, 1)
        self.emb_rel_k, self.emb_rel_v = (
            nn.Parameter(torch.zeros(1, 2 * ATTENTION_REACH + 1, width // heads)) for _ in range(2)
        )

    def forward(self, x: Tensor, allowed: Tensor | None) -> Tensor:
        B, H, T = x.shape
        R, N, D = ATTENTION_REACH, self.heads, H // self.heads
        # channel c of each third belongs to head c // D; heads are counted as part of the batch
        q, k, v = self.conv_qkv(x).mT.reshape(B, T, 3, N, D).permute(2, 0, 3, 1, 4).reshape(3, B * N, T, D)
        q = q / math.sqrt(D)
        scores = F.pad(torch.bmm(q, k.mT), (R, R))
        band(scores).add_(q @ self.emb_rel_k[0].T)
        scores = scores[..., R:-R]
        if allowed is not None:
            scores = scores.view(B, N, T, T).masked_fill(~allowed, MASKED).view(B * N, T, T)
        weights = scores.softmax(-1)
        out = torch.bmm(weights, v) + band(F.pad(weights, (R, R))) @ self.emb_rel_v[0]
        return self.conv_o(out.view(B, N, T, D).transpose(1, 2).reshape(B, T, H).mT)


class FeedForward(nn.Module):
    """Two convolutions over time with a ReLU between; x [B, H, T], mask [B, 1, T] or None → [B, H, T]."""

    def __init__(self, width: int, inner: int, kernel: int) -> None:
        super().__init__()
        self.pad = ((kernel - 1) // 2, kernel // 2)
        inside = kernel // 2 if kernel % 2 else 0  # an even kernel wants more on one side
        self.padded = kernel % 2 == 1
        self.conv_1 = Conv(width, inner, kernel, padding=inside)
        self.conv_2 = Conv(inner, width, kernel, padding=inside)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.conv_1(self._edged(x, mask), act="relu")
        return masked(self.conv_2(self._edged(x, mask)), mask)

    def _edged(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = masked(x, mask)
        return x if self.padded else F.pad(x, self.pad)


class Transformer(nn.Module):
    """x [B, H, T], mask [B, 1, T] or None → [B, H, T]."""

    kind, fused = "encoders", cast(Any, None)

    def __init__(self, c: SynthConfig) -> None:
        super().__init__()
        each = range(c.layers)
        self.attn_layers = nn.ModuleList(RelativeAttention(c.hidden, c.heads) for _ in each)
        self.norm_layers_1 = nn.ModuleList(ChannelNorm(c.hidden) for _ in each)
        self.ffn_layers = nn.ModuleList(FeedForward(c.hidden, c.filter, c.kernel) for _ in each)
        self.norm_layers_2 = nn.ModuleList(ChannelNorm(c.hidden) for _ in each)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None and self.fused is not None and self.fused[0].takes(x.mT):
            rows = x.mT
            for layer in self.fused:
                rows = layer(rows)
            return rows.mT
        allowed = None if mask is None else (mask.unsqueeze(2) * mask.unsqueeze(-1)) > 0
        x = masked(x, mask)
        layers = zip(self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2, strict=True)
        for attend, norm_1, feed, norm_2 in layers:
            x = norm_1(x + attend(x, allowed))
            x = norm_2(x + feed(x, mask))
        return masked(x, mask)

    def parts(self) -> dict[str, Any]:
        layers = zip(self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2, strict=True)
        return {"each": [parts_of_layer(*cast(Any, layer)) for layer in layers]}


def parts_of_layer(
    attend: RelativeAttention, norm_1: ChannelNorm, feed: FeedForward, norm_2: ChannelNorm
) -> dict[str, Any]:
    return {
        "layers": (attend.conv_qkv, attend.conv_o, feed.conv_1, feed.conv_2),
        "norms": [(norm.gamma, norm.beta) for norm in (norm_1, norm_2)],
        "heads": attend.heads,
        "act": "relu",
        "near": (attend.emb_rel_k[0], attend.emb_rel_v[0]),
    }


class TextEncoder(nn.Module):
    """phone [B, T, C], pitch [B, T] (1 … 255, None without f0) → mean, log of the spread [B, inter, T - head]."""

    def __init__(self, c: SynthConfig) -> None:
        super().__init__()
        self.emb_phone = Dense(c.content, c.hidden)
        if c.f0:
            self.emb_pitch = nn.Embedding(PITCH_BINS, c.hidden)
        self.f0 = c.f0
        self.encoder = Transformer(c)
        self.proj = Conv(c.hidden, 2 * c.inter, 1)

    def embed(self, phone: Tensor, pitch: Tensor | None) -> Tensor:
        """[B, T, H]. The scale comes after the sum, so it lifts the pitch too."""
        x = self.emb_phone(phone)
        if self.f0:
            assert pitch is not None
            x = x + self.emb_pitch(pitch)
        return F.leaky_relu(x * math.sqrt(x.shape[-1]), SLOPE)

    def forward(
        self, phone: Tensor, pitch: Tensor | None, mask: Tensor | None = None, head: int = 0
    ) -> tuple[Tensor, Tensor]:
        """mask [B, 1, T]: 1 where a frame counts (None: everywhere). `head`: frames at the start that are heard but not
        answered."""
        x = self.encoder(self.embed(phone, pitch).mT, mask)[..., head:]
        mean, log_std = masked(self.proj(x), None if mask is None else mask[..., head:]).chunk(2, dim=1)
        return mean, log_std
