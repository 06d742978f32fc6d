"""Mel spectrograms at 16 kHz as the pitch nets were trained on them (docs/rvc.md 6.5.1, 6.6). Always float32.

Both nets take the natural logarithm of 128 bands of the magnitude spectrum (1024 points, Hann, hop 160); they differ in
the mel scale, the lowest band and the padding, which their own files do.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rwc_daemon.plan import HOP_16K, RATE_16K

FFT = 1024  # points, and samples of the window
BANDS = 128
QUIETEST = 1e-5  # magnitude below which the logarithm stays flat

SLANEY_LINEAR = 200 / 3  # Hz per mel up to 1 kHz (mel 15), then 27 mel per factor 6.4
SLANEY_KNEE, SLANEY_STEP = 15.0, np.log(6.4) / 27


def htk(low_hz: float, high_hz: float, points: int) -> np.ndarray:
    """Hz equally spaced in 2595 log10(1 + f/700)."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (low_hz, high_hz))
    return 700 * (10 ** (np.linspace(low, high, points) / 2595) - 1)


def slaney(low_hz: float, high_hz: float, points: int) -> np.ndarray:
    """Hz equally spaced on the scale of Slaney's Auditory Toolbox: linear to 1 kHz, logarithmic above."""

    def to_mel(f: float) -> float:
        return f / SLANEY_LINEAR if f < 1000 else SLANEY_KNEE + np.log(f / 1000) / SLANEY_STEP

    mel = np.linspace(to_mel(low_hz), to_mel(high_hz), points)
    return np.where(mel < SLANEY_KNEE, mel * SLANEY_LINEAR, 1000 * np.exp((mel - SLANEY_KNEE) * SLANEY_STEP))


def filter_bank(edges_hz: np.ndarray) -> np.ndarray:
    """f64[BANDS + 2] edges → f32[BANDS, FFT // 2 + 1]: triangles of equal area (Slaney's normalisation)."""
    f = np.linspace(0, RATE_16K / 2, FFT // 2 + 1)[None]
    low, peak, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    triangles = np.minimum((f - low) / (peak - low), (high - f) / (high - peak)).clip(min=0)
    return (triangles * 2 / (high - low)).astype(np.float32)


class LogMel(torch.nn.Module):
    """Padded samples → log mel; `inside_root` is added to the power before the root."""

    bank: Tensor
    window: Tensor

    def __init__(self, edges_hz: np.ndarray, inside_root: float = 0.0) -> None:
        super().__init__()
        self.inside_root = inside_root
        self.register_buffer("bank", torch.from_numpy(filter_bank(edges_hz)), persistent=False)
        self.register_buffer("window", torch.hann_window(FFT, device="cpu"), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """f32[N] → f32[1, BANDS, (N - FFT) // 160 + 1]."""
        spectrum = torch.stft(x, FFT, HOP_16K, window=self.window, center=False, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.log((self.bank @ torch.sqrt(power + self.inside_root)).clamp(min=QUIETEST))[None]
