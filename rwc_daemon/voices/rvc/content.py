"""The content encoder (HuBERT base, ContentVec): what is said, without who says it, one row per 20 ms.

    conv stack (16 kHz -> 50 Hz) - projection - positional convolution - post-norm transformer

v1 voices hear layer 9 through `final_proj`, v2 voices the last layer. The group norm of the first convolution takes its
statistics over the whole input, so the answer depends a little on the length of the window.

Shapes: B batch, N samples @16k, n = (N - 400)//320 + 1 rows, C conv width, H width. Source: docs/rvc.md section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwc_daemon.errors import BadModel
from rwc_daemon.store.layout import plain_name
from rwc_daemon.store.layout_support import CONTENT_KERNELS, CONTENT_OPTIONAL, content_shapes, content_sizes
from rwc_daemon.voices.backends.base import Deviation
from rwc_daemon.voices.backends.choice import pack
from rwc_daemon.voices.layers import Conv, Dense, joined, pictured
from rwc_daemon.voices.rvc.weights import checked, folded, settle

CONTENT_STRIDES = (5, 2, 2, 2, 2, 2, 2)
HEAD_WIDTH = 64
V1_LAYER = 9  # an encoder with fewer layers (made for tests) answers with its last
SHORTEST_16K = 400  # samples that one row needs
NORM_FLOOR = 1e-5  # added to a variance before its root
ROWS_AT_ONCE = 128  # of the positional convolution: bounds its memory


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


class Statistics(NamedTuple):
    """What the first norm knows of a sound: mean and standard deviation of each channel, [B, C] float32."""

    mean: Tensor
    spread: Tensor


class FirstConv(nn.Module):
    """The first convolution, normalised per channel over time: x [B, 1, N] float32 → [B, C, n].

    The norm is linear once its statistics are known, and those follow from the sound itself: with m and R the mean and
    the covariance of the windows that a kernel w sees, w's output has mean w.m and variance w.R.w. So statistics over a
    long past cost next to nothing, and norm and convolution are one product.
    """

    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, c.conv, CONTENT_KERNELS[0], CONTENT_STRIDES[0], bias=False)
        self.layer_norm = nn.GroupNorm(c.conv, c.conv)

    def forward(self, x: Tensor, known: Statistics, dtype: torch.dtype) -> Tensor:
        scale = self.layer_norm.weight / known.spread
        shift = (self.layer_norm.bias - known.mean * scale).unsqueeze(1)
        y = self.windows(x) @ (self.conv.weight.squeeze(1) * scale.unsqueeze(-1)).mT + shift
        return F.gelu(y.to(dtype)).mT

    def known(self, past: Tensor) -> Statistics:
        """Of the sound [B, 1, P]."""
        return self.statistics(self.windows(past).double(), self.conv.weight.squeeze(1).double())

    @staticmethod
    def windows(x: Tensor) -> Tensor:
        """[B, 1, N] → [B, n, K]."""
        return x.squeeze(1).unfold(-1, CONTENT_KERNELS[0], CONTENT_STRIDES[0])

    @staticmethod
    def statistics(windows: Tensor, kernel: Tensor) -> Statistics:
        mean = windows.mean(dim=1, keepdim=True)
        apart = windows - mean
        covariance = apart.mT @ apart / windows.shape[1]
        variance = ((kernel @ covariance) * kernel).sum(-1)
        return Statistics((mean.squeeze(1) @ kernel.mT).float(), (variance + NORM_FLOOR).sqrt().float())


class ConvLayer(nn.Module):
    """One strided convolution and GELU; [B, C, N] → [B, C, n]."""

    def __init__(self, c: ContentConfig, i: int) -> None:
        super().__init__()
        self.conv = Conv(c.conv, c.conv, CONTENT_KERNELS[i], CONTENT_STRIDES[i], bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x, act="gelu")


class ConvStack(nn.Module):
    """[B, 1, N] → [B, C, n]."""

    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        later = (ConvLayer(c, i) for i in range(1, len(CONTENT_KERNELS)))
        self.conv_layers = nn.ModuleList([FirstConv(c), *later])

    def forward(self, x: Tensor, known: Statistics, dtype: torch.dtype) -> Tensor:
        first, *later = self.conv_layers
        x = first(x, known, dtype)
        for layer in later:
            x = layer(x)
        return x


class Projection(nn.Module):
    """[B, n, C] → [B, n, H]."""

    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(c.conv)
        self.projection = Dense(c.conv, c.hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(self.layer_norm(x))


class Position(nn.Module):
    """A wide grouped convolution that tells each row where it stands; [B, n, H] → [B, n, H].

    Done as one product per group over the rows that a kernel sees: several times faster than a grouped convolution. Of
    the kernel only so much is used as there are rows: beyond them it would hear zeros.
    """

    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.kernel, self.groups = c.position_kernel, c.position_groups
        self.conv = GroupedKernel(c.hidden // c.position_groups, self.kernel, self.groups)

    def forward(self, x: Tensor) -> Tensor:
        B, n, H = x.shape
        G, W = self.groups, H // self.groups
        half = self.kernel // 2
        before, behind = min(half, n - 1), min(self.kernel - half - 1, n - 1)
        padded = F.pad(x, (0, 0, before, behind)).view(B, -1, G, W).transpose(1, 2).reshape(B * G, -1, W)
        weight = self.conv.weight[:, (half - before) * W : (half + behind + 1) * W]
        weight = weight.repeat(B, 1, 1) if B > 1 else weight
        parts = [
            torch.bmm(rows.flatten(2), weight)
            for rows in padded.unfold(1, before + behind + 1, 1).mT.split(ROWS_AT_ONCE, dim=1)
        ]
        y = torch.cat(parts, dim=1).view(B, G, n, W).transpose(1, 2).reshape(B, n, H)
        return F.gelu(y + self.conv.bias)


class GroupedKernel(nn.Module):
    """The weights of a grouped convolution, as products want them: [groups, kernel * width in, width out]."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(groups, kernel * width, width))
        self.bias = nn.Parameter(torch.zeros(groups * width))

    @staticmethod
    def ordered(weight: Tensor, groups: int) -> Tensor:
        """[H, width in, kernel] → as above."""
        H, I, K = weight.shape
        return weight.view(groups, H // groups, I, K).permute(0, 3, 2, 1).reshape(groups, K * I, H // groups)


class Attention(nn.Module):
    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.qkv_proj, self.out_proj = Dense(c.hidden, 3 * c.hidden), Dense(c.hidden, c.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """x and what attention makes of it, added."""
        B, n, H = x.shape
        q, k, v = self.qkv_proj(x).view(B, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        heard = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, n, H)
        return self.out_proj(heard, add=x)


class FeedForward(nn.Module):
    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.intermediate_dense = Dense(c.hidden, c.ffn)
        self.output_dense = Dense(c.ffn, c.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """x and what comes of it, added."""
        return self.output_dense(self.intermediate_dense(x, act="gelu"), add=x)


class Layer(nn.Module):
    """Post-norm transformer layer; [B, n, H] → [B, n, H]."""

    kind, fused = "encoder", cast(Any, None)

    def __init__(self, c: ContentConfig) -> None:
        super().__init__()
        self.attention = Attention(c)
        self.layer_norm = nn.LayerNorm(c.hidden)
        self.feed_forward = FeedForward(c)
        self.final_layer_norm = nn.LayerNorm(c.hidden)

    def forward(self, x: Tensor) -> Tensor:
        if self.fused is not None and self.fused.takes(x):
            return self.fused(x)
        x = self.layer_norm(self.attention(x))
        return self.final_layer_norm(self.feed_forward(x))

    def parts(self) -> dict[str, Any]:
        attention, feed = self.attention, self.feed_forward
        layers = attention.qkv_proj, attention.out_proj, feed.intermediate_dense, feed.output_dense
        norms = [(norm.weight, norm.bias) for norm in (self.layer_norm, self.final_layer_norm)]
        return {"layers": layers, "norms": norms, "heads": attention.heads, "act": "gelu"}


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
        self.final_proj = Dense(c.hidden, c.projection) if c.projection else None

    @classmethod
    def load(
        cls,
        tensors: Mapping[str, Tensor],
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        heads: int | None = None,
        packed: bool = True,
        weight_bits: int = 16,
    ) -> ContentEncoder:
        """Sizes are read from the tensors; `heads` defaults to one per 64 channels; `packed` as for a `Synthesizer`,
        `weight_bits`: 8 allows backends that keep fewer digits of the weights. Raises BadModel."""
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
        tensors = ordered(folded(weights), sizes["position_groups"])
        settle(net, tensors, device, dtype)
        net.feature_extractor.conv_layers[0].float()  # the sound itself, before the norm, keeps its digits
        if packed:
            pack(net, Deviation.LOSSY if weight_bits == 8 else Deviation.ROUNDING)
        return net

    def width(self, version: str) -> int:
        """Columns of `features` for voices of this version; 0: it has none for them."""
        return self.config.projection if version == "v1" else self.config.hidden

    @torch.inference_mode()
    def features(self, x_16k: Tensor, version: str, past_16k: Tensor | None = None) -> Tensor:
        """x_16k [B, N] as it is (no normalisation) → [B, n, 256] for v1, [B, n, 768] for v2, float32.

        `past_16k` [B, P]: a longer stretch that ends where `x_16k` does; the first norm is over it.
        """
        return self.understand(self.hear(x_16k, self.known(x_16k if past_16k is None else past_16k)), version)

    def known(self, past_16k: Tensor) -> Statistics:
        """[B, P] → what the first norm goes by."""
        first = cast(FirstConv, self.feature_extractor.conv_layers[0])
        return first.known(past_16k.float().unsqueeze(1))

    @torch.inference_mode()
    def hear(self, x_16k: Tensor, known: Statistics) -> Tensor:
        """[B, N] → [B, n, H]: rows that know nothing of each other yet; each hears 400 samples."""
        dtype = self.feature_projection.layer_norm.weight.dtype
        return self.feature_projection(self.feature_extractor(x_16k.float().unsqueeze(1), known, dtype).mT)

    @torch.inference_mode()
    def understand(self, rows: Tensor, version: str) -> Tensor:
        """[B, n, H] from `hear` → as `features`."""
        if version == "v1":
            assert self.final_proj is not None  # `width` said so
            return self.final_proj(self.encoder(rows, V1_LAYER)).float()
        return self.encoder(rows, self.config.layers).float()


def ordered(tensors: Mapping[str, Tensor], groups: int) -> dict[str, Tensor]:
    """Kernels as the layers keep them."""
    position = "encoder.pos_conv_embed.conv.weight"
    tensors = pictured(tensors, lambda name: ".conv_layers." in name and ".0." not in name)
    return joined(tensors, "q_proj", ("k_proj", "v_proj"), "qkv_proj") | {
        position: GroupedKernel.ordered(tensors[position], groups)
    }
