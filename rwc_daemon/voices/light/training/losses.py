"""How far a sound is from the teacher's: spectra at five resolutions, waveform below 3 kHz, and three critics."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwc_daemon.voices.light import shape

WINDOWS = (2048, 1024, 512, 256, 128)
FLOOR = 3e-4  # times the root of the window's length: below it a spectrum is silence
LOW_WINDOW, LOW_BINS = 512, 64  # up to 3 kHz
LEAK = 0.2


class Spectra(nn.Module):
    """Two losses: of magnitudes, and of complex spectra below 3 kHz (our pulses are in phase with the teacher's)."""

    def __init__(self) -> None:
        super().__init__()
        for size in WINDOWS:
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)

    def forward(self, y: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        total = torch.zeros((), device=y.device)
        for size in WINDOWS:
            a, b = self._spectrum(y, size).abs(), self._spectrum(goal, size).abs()
            floor = FLOOR * size**0.5
            total = total + (torch.log(a + floor) - torch.log(b + floor)).abs().mean()
            total = total + 0.5 * (a - b).abs().sum() / (b.sum() + 1e-3)
        low, goal_low = (self._spectrum(one, LOW_WINDOW)[:, :LOW_BINS] for one in (y, goal))
        return total / len(WINDOWS), (low - goal_low).abs().sum() / (goal_low.abs().sum() + 1e-3)

    def _spectrum(self, y: Tensor, size: int) -> Tensor:
        return torch.stft(y, size, size // 4, window=getattr(self, f"window_{size}"), return_complex=True)


class Critic(nn.Module):
    """Looks at a spectrogram and says of each place whether it is real."""

    window: Tensor
    table: Tensor

    def __init__(self, size: int, hop: int, widths: tuple[int, ...], bands: bool = False) -> None:
        super().__init__()
        self.size, self.hop, self.bands = size, hop, bands
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        if bands:
            table = torch.from_numpy(shape.bands(100))
            self.register_buffer("table", table.T / table.sum(1), persistent=False)
        steps = ((1, 2), (2, 2), (1, 2), (1, 1))
        kernels = ((3, 7), (3, 7), (3, 7), (3, 3))
        normed = nn.utils.parametrizations.weight_norm
        self.layers = nn.ModuleList(
            normed(nn.Conv2d(into, out, kernel, stride=step, padding=(kernel[0] // 2, kernel[1] // 2)))
            for into, out, kernel, step in zip((1, *widths[:-1]), widths, kernels, steps, strict=True)
        )
        self.verdict = normed(nn.Conv2d(widths[-1], 1, (3, 3), padding=1))

    def forward(self, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """[B, n] → verdicts, and what each layer saw."""
        spectrum = torch.stft(y, self.size, self.hop, window=self.window, return_complex=True).abs()
        if self.bands:
            spectrum = (spectrum.transpose(1, 2) @ self.table).transpose(1, 2)
        x = (0.4 * torch.log(spectrum + 1e-3 * self.size**0.5))[:, None].transpose(2, 3)
        seen = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAK)
            seen.append(x)
        return self.verdict(x), seen


def critics() -> nn.ModuleList:
    """Bands over 43 ms, and bins over 43 and 11 ms."""
    return nn.ModuleList(
        [
            Critic(1024, 240, (16, 32, 32, 32), bands=True),
            Critic(1024, 256, (12, 16, 24, 24)),
            Critic(256, 64, (12, 16, 24, 24)),
        ]
    )


def judged(judges: nn.ModuleList, y: Tensor, real: Tensor) -> Tensor:
    """The critics' own loss."""
    total = torch.zeros((), device=y.device)
    for judge in judges:
        total = total + ((judge(real)[0] - 1) ** 2).mean() + (judge(y)[0] ** 2).mean()
    return total


def convincing(judges: nn.ModuleList, y: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The decoder's losses: how unreal it looks, and how differently the critics see it."""
    unreal = different = torch.zeros((), device=y.device)
    for judge in judges:
        verdict, seen = judge(y)
        with torch.no_grad():
            _, wanted = judge(real)
        unreal = unreal + ((verdict - 1) ** 2).mean()
        layers = [(a - b).abs().mean() / (b.abs().mean() + 1e-3) for a, b in zip(seen, wanted, strict=True)]
        different = different + torch.stack(layers).mean()
    return unreal, different
