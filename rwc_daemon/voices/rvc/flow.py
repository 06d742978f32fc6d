"""The flow, in the one direction that conversion needs: from the speaker-free latent to the speaker's.

Four additive couplings. Each shifts one half of the channels by what a small gated convolution net makes of the other
half; between two couplings the order of channels is reversed. Going backwards, every flip comes before its coupling.

Shapes: B batch, T frames, C latent channels, H width, G speaker vector. Source: docs/rvc.md sections 3.5 and 3.6.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from rwc_daemon.store.layout import FLOWS, WAVENET_KERNEL, WAVENET_LAYERS, SynthConfig
from rwc_daemon.voices.layers import Conv, masked

REACH = FLOWS * WAVENET_LAYERS * (WAVENET_KERNEL // 2)  # frames that one frame of the result hears, each way: 24


class WaveNet(nn.Module):
    """Gated convolutions with skips: x [B, H, T], mask [B, 1, T] or None, g [B, G, 1] → [B, H, T]."""

    def __init__(self, c: SynthConfig) -> None:
        super().__init__()
        H, K, last = c.hidden, WAVENET_KERNEL, WAVENET_LAYERS - 1
        self.cond_layer = Conv(c.gin, 2 * H * WAVENET_LAYERS, 1)
        self.in_layers = nn.ModuleList(Conv(H, 2 * H, K, padding=K // 2) for _ in range(WAVENET_LAYERS))
        self.res_skip_layers = nn.ModuleList(Conv(H, H if l == last else 2 * H, 1) for l in range(WAVENET_LAYERS))

    def forward(self, x: Tensor, mask: Tensor | None, g: Tensor) -> Tensor:
        H = x.shape[1]
        conditions = self.cond_layer(g).split(2 * H, dim=1)
        out = torch.zeros_like(x)
        for into, onward, c in zip(self.in_layers, self.res_skip_layers, conditions, strict=True):
            a, b = (into(x) + c).chunk(2, dim=1)
            step = onward(a.tanh() * b.sigmoid())
            if step.shape[1] == 2 * H:
                x = masked(x + step[:, :H], mask)
            out = out + step[:, -H:]
        return masked(out, mask)


class Coupling(nn.Module):
    """x = [x0 | x1] → [x0 | x1 - mu(x0)]."""

    def __init__(self, c: SynthConfig) -> None:
        super().__init__()
        self.pre = Conv(c.inter // 2, c.hidden, 1)
        self.enc = WaveNet(c)
        self.post = Conv(c.hidden, c.inter // 2, 1)

    def forward(self, x: Tensor, mask: Tensor | None, g: Tensor) -> Tensor:
        x0, x1 = x.chunk(2, dim=1)
        mu = self.post(self.enc(masked(self.pre(x0), mask), mask, g))
        return torch.cat([x0, masked(x1 - masked(mu, mask), mask)], dim=1)


class Flip(nn.Module):
    """Reverses the order of channels."""

    def forward(self, x: Tensor, mask: Tensor | None, g: Tensor) -> Tensor:
        return x.flip(1)


class Flow(nn.Module):
    """z_p [B, C, T], mask [B, 1, T] or None, g [B, G, 1] → z [B, C, T]."""

    kind, fused = "couplings", cast(Any, None)

    def __init__(self, c: SynthConfig) -> None:
        super().__init__()
        self.flows = nn.ModuleList(Flip() if i % 2 else Coupling(c) for i in range(2 * FLOWS))

    def parts(self) -> dict[str, Any]:
        each = self._couplings()
        return {"each": [(one.pre, one.enc.in_layers, one.enc.res_skip_layers, one.post) for one in each]}

    def _couplings(self) -> list[Coupling]:
        """In the order in which they run."""
        return [flow for flow in reversed(self.flows) if isinstance(flow, Coupling)]

    def forward(self, x: Tensor, mask: Tensor | None, g: Tensor) -> Tensor:
        if self.fused is not None and mask is None and self.fused.takes(x):
            return self.fused(x, torch.cat([coupling.enc.cond_layer(g) for coupling in self._couplings()]))
        for flow in reversed(self.flows):
            x = flow(x, mask, g)
        return x
