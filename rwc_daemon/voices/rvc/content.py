"""The content encoder (HuBERT base, ContentVec): what is said, without who says it, one row per 20 ms.

    conv stack (16 kHz -> 50 Hz) - projection - positional convolution - post-norm transformer

v1 voices hear layer 9 through `final_proj`, v2 voices the last layer. The group norm of the first convolution takes its
statistics over the whole input, so the answer depends a little on the length of the window.

Shapes: B batch, N samples @16k, n = (N - 400)//320 + 1 rows, C conv width, H width. Source: spec section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwc_daemon.errors import BadModel
from rwc_daemon.store.layout import plain_name
from rwc_daemon.store.layout_support import CONTENT_KERNELS, CONTENT_OPTIONAL, content_shapes, content_sizes
from rwc_daemon.voices.rvc.weights import checked, folded, settle

CONTENT_STRIDES = (5, 2, 2, 2, 2, 2, 2)
HEAD_WIDTH = 64
V1_LAYER = 9  # an encoder with fewer layers (made for tests) answers with its last
SHORTEST_16K = 400  # samples that one row needs


@dataclass(frozen=True)
class ContentConfig:
    """Sizes of one encoder; `heads` is the one number that its tensors do not show."""

    hidden: int
    layers: int
    ffn: int
    conv: int
    position_kernel: int
    position_groups: int
    projection: int
    heads: int


class ConvLayer(nn.Module):
    """One strided convolution and GELU; the first also normalises each channel over time."""

    def __init__(self, c: ContentConfig, i: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(c.conv if i else 1, c.conv, CONTENT_KERNELS[i], CONTENT_STRIDES[i], bias=False)
        self.layer_norm = nn.Identity() if i else nn.GroupNorm(c.conv, c.conv)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.layer_norm(self.conv(x)))


class ConvStack(nn.Module):
    """[B, 1, N] → [B, C, n]."""

    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.conv_layers = nn.ModuleList(ConvLayer(c, i) for i in range(len(CONTENT_KERNELS)))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.conv_layers:
            x = layer(x)
        return x


class Projection(nn.Module):
    """[B, n, C] → [B, n, H]."""

    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(c.conv)
        self.projection = nn.Linear(c.conv, c.hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(self.layer_norm(x))


class Position(nn.Module):
    """A wide grouped convolution that tells each row where it stands; [B, n, H] → [B, n, H]."""

    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        K = c.position_kernel
        self.conv = nn.Conv1d(c.hidden, c.hidden, K, padding=K // 2, groups=c.position_groups)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.conv(x.mT)[..., : x.shape[1]]).mT


class Attention(nn.Module):
    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(c.hidden, c.hidden) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        B, n, H = x.shape
        q, k, v = (f(x).view(B, n, self.heads, -1).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, n, H))


class FeedForward(nn.Module):
    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(c.hidden, c.ffn)
        self.output_dense = nn.Linear(c.ffn, c.hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.output_dense(F.gelu(self.intermediate_dense(x)))


class Layer(nn.Module):
    """Post-norm transformer layer; [B, n, H] → [B, n, H]."""

    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.attention = Attention(c)
        self.layer_norm = nn.LayerNorm(c.hidden)
        self.feed_forward = FeedForward(c)
        self.final_layer_norm = nn.LayerNorm(c.hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer_norm(x + self.attention(x))
        return self.final_layer_norm(x + self.feed_forward(x))


class Transformer(nn.Module):
    """[B, n, H] → [B, n, H] after `depth` layers."""

    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.pos_conv_embed = Position(c)
        self.layer_norm = nn.LayerNorm(c.hidden)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))

    def forward(self, x: Tensor, depth: int) -> Tensor:
        x = self.layer_norm(x + self.pos_conv_embed(x))
        for layer in self.layers[:depth]:
            x = layer(x)
        return x


class ContentEncoder(nn.Module):
    """The whole encoder, under the names of `transformers`."""

    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.config = c
        self.feature_extractor = ConvStack(c)
        self.feature_projection = Projection(c)
        self.encoder = Transformer(c)
        self.final_proj = nn.Linear(c.hidden, c.projection)

    @classmethod
    def load(
        cls,
        tensors: Mapping[str, Tensor],
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        heads: int | None = None,
    ) -> ContentEncoder:
        """Sizes are read from the tensors; `heads` defaults to one per 64 channels. Raises BadModel."""
        tensors = {plain_name(name): t for name, t in tensors.items() if name not in CONTENT_OPTIONAL}
        what = "the content encoder"
        try:
            sizes = content_sizes({name: tuple(t.shape) for name, t in tensors.items()})
        except (KeyError, IndexError, ZeroDivisionError) as error:
            raise BadModel(f"{what} is another kind of net: run `rwcctl assets fetch contentvec`") from error
        config = ContentConfig(**sizes, heads=heads or max(1, sizes["hidden"] // HEAD_WIDTH))
        weights = checked(tensors, content_shapes(**sizes), what)
        with torch.device("meta"):
            net = cls(config)
        return settle(net, folded(weights), device, dtype)

    def width(self, version: str) -> int:
        """Columns of `features` for voices of this version."""
        return self.config.projection if version == "v1" else self.config.hidden

    @torch.inference_mode()
    def features(self, x_16k: Tensor, version: str) -> Tensor:
        """x_16k [B, N] as it is (no normalisation) → [B, n, 256] for v1, [B, n, 768] for v2, float32."""
        dtype = self.final_proj.weight.dtype
        x = self.feature_extractor(x_16k.to(dtype).unsqueeze(1))
        x = self.feature_projection(x.mT)
        if version == "v1":
            return self.final_proj(self.encoder(x, V1_LAYER)).float()
        return self.encoder(x, self.config.layers).float()
