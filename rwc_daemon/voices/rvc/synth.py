"""The synthesizer: features, pitch and a speaker in, samples out. Nothing random inside.

    m, s = encoder(phone, pitch)      z_p = m + exp(s) * eps * 0.66666      z = flow(z_p, g)      y = decoder(z, f0, g)

A `Window` renders only part of what the encoder hears: it is what keeps live conversion affordable.

Shapes: B batch, T frames, L frames rendered, U samples per frame. Source: docs/rvc.md sections 3.1 and 3.10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rwc_daemon.store.layout import SynthConfig, plain_decoder_names, synth_shapes
from rwc_daemon.voices.backends.choice import can_pack, pack
from rwc_daemon.voices.layers import joined, masked, pictured
from rwc_daemon.voices.rvc import flow as flows
from rwc_daemon.voices.rvc.decoder import Decoder, on_grid, stretched
from rwc_daemon.voices.rvc.flow import Flow
from rwc_daemon.voices.rvc.text import TextEncoder
from rwc_daemon.voices.rvc.weights import checked, folded, settle

NOISE_LEVEL = 0.66666  # the literal of the reference, not two thirds


class Window(NamedTuple):
    """Which frames are rendered."""

    skip: int
    """Frames before the first rendered one."""
    length: int
    """Frames rendered."""
    stretch: int | None = None
    """Frames they are stretched to before the decoder (formant shift)."""
    lead: int = 0
    """Frames before those rendered that the decoder hears."""
    trail: int = 0
    """Frames behind them that it hears."""
    exact: int = 0
    """Samples that one frame becomes, where `stretch` does not say it; then neighbouring renderings share one grid,."""
    shift: int = 0
    """Which begins so many samples before the first frame that the decoder hears."""

    @property
    def flow_head(self) -> int:
        """Frames that not even the flow has to hear."""
        return max(self.skip - self.lead - flows.REACH, 0)

    @property
    def first(self) -> int:
        """The first frame that the decoder hears."""
        return self.skip - self.lead

    @property
    def heard(self) -> int:
        """Frames that the decoder hears."""
        return self.lead + self.length + self.trail


class Draws(NamedTuple):
    """All that is random in one rendering."""

    latent: Tensor
    """[B, inter, T - flow_head], unit variance."""
    source: Tensor | None = None
    """[B, heard*U, harmonics], unit variance; None without f0."""
    phase: Tensor | None = None
    """[B, harmonics] cycles, of each harmonic before the first sample that the decoder hears; None: all at 0."""

    def to(self, device: str) -> Draws:
        source, phase = (None if draw is None else draw.to(device) for draw in (self.source, self.phase))
        return Draws(self.latent.to(device), source, phase)


class Rendering(NamedTuple):
    audio: Tensor
    """[B, 1, L*U] float32."""
    mean: Tensor
    log_std: Tensor
    prior: Tensor
    """z_p [B, inter, T - flow_head]."""
    latent: Tensor
    """Z [B, inter, heard]."""
    mask: Tensor | None
    """[B, 1, heard]; None: all frames count."""


class Synthesizer(nn.Module):
    """Every RVC voice: v1 or v2, with or without f0, by its configuration."""

    def __init__(self, c: SynthConfig) -> None:
        super().__init__()
        self.config = c
        self.emb_g = nn.Embedding(c.speakers, c.gin)
        self.enc_p = TextEncoder(c)
        self.flow = Flow(c)
        self.dec = Decoder(c)

    @classmethod
    def load(
        cls,
        tensors: Mapping[str, Tensor],
        c: SynthConfig,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        packed: bool = True,
    ) -> Synthesizer:
        """`packed`: as fast as the CPU can; without, as a net is usually loaded. Raises BadModel unless every tensor is
        there with its shape; only `enc_q.*` may be surplus."""
        with torch.device("meta"):
            net = cls(c)
        weights = plain_decoder_names(checked(tensors, synth_shapes(c), "this voice"), c)
        weights = joined(folded(weights), "conv_q", ("conv_k", "conv_v"), "conv_qkv")
        settle(net, pictured(weights, lambda name: "emb_rel" not in name), device, dtype)
        packed = packed and can_pack(device, dtype)
        if packed or dtype != torch.float32:
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if dtype != torch.float32:
            net.dec.conv_post.float()  # the last sum is what one hears: it keeps its digits
        if packed:
            pack(net)
        return net

    @property
    def dtype(self) -> torch.dtype:
        return self.emb_g.weight.dtype

    def speaker(self, number: Tensor) -> Tensor:
        """[B] → speaker vector [B, G, 1]."""
        return self.emb_g(number).unsqueeze(-1)

    @torch.inference_mode()
    def forward(
        self,
        phone: Tensor,
        pitch: Tensor | None,
        f0: Tensor | None,
        speaker: Tensor,
        draws: Draws,
        window: Window | None = None,
        lengths: Tensor | None = None,
    ) -> Rendering:
        """phone [B, T, C], pitch [B, T] coarse, f0 [B, T] Hz, speaker [B], lengths [B] valid frames (None: all)."""
        T = phone.shape[1]
        window = window or Window(0, T)
        head, first = window.flow_head, window.first - window.flow_head
        mask = None if lengths is None else self.mask(lengths, T)
        g = self.speaker(speaker)
        mean, log_std = self.enc_p(phone.to(self.dtype), pitch, mask, head)
        mask = None if mask is None else mask[..., head:]
        prior = masked(mean + log_std.exp() * draws.latent.to(self.dtype) * NOISE_LEVEL, mask)
        z = self.flow(prior, mask, g)[..., first : first + window.heard]
        mask = None if mask is None else mask[..., first : first + window.heard]
        audio = self._decode(masked(z, mask), g, self.source(f0, draws, window), window)
        return Rendering(audio.float(), mean, log_std, prior, z, mask)

    def render(
        self, phone: Tensor, pitch: Tensor | None, f0: Tensor | None, speaker: Tensor, draws: Draws, window: Window
    ) -> Tensor:
        """The audio alone, [B, 1, L*U]."""
        return self(phone, pitch, f0, speaker, draws, window).audio

    def _decode(self, z: Tensor, g: Tensor, source: Tensor | None, window: Window) -> Tensor:
        """[B, 1, L*U], of stretched frames where the window says so."""
        hop = self.config.hop
        if window.exact:
            ratio, shift = window.exact / hop, window.shift
            frames = (z.shape[-1] * window.exact + shift) // hop
            z = on_grid(z, frames, ratio, shift / hop)
            source = None if source is None else on_grid(source, frames * hop, ratio, shift)
            first, samples = window.lead * window.exact + shift, window.length * window.exact
        else:
            frames = round(window.heard * (window.stretch or window.length) / window.length)
            first, samples = 0, frames * hop
            if frames != z.shape[-1]:
                z = stretched(z, frames)
                source = None if source is None else stretched(source, samples)
            if window.lead or window.trail:
                assert frames == window.heard, window
                first, samples = window.lead * hop, window.length * hop
        return self.dec(z, g, source, (first, first + samples))

    def source(self, f0: Tensor | None, draws: Draws, window: Window) -> Tensor | None:
        """[B, 1, heard*U], or None for a voice without f0."""
        if not self.config.f0:
            return None
        assert f0 is not None
        assert draws.source is not None
        phase = draws.phase
        if phase is None:
            phase = f0.new_zeros(f0.shape[0], self.config.harmonics)
        return self.dec.m_source(f0[:, window.first : window.first + window.heard], draws.source, phase)

    def mask(self, lengths: Tensor, T: int) -> Tensor:
        """[B, 1, T]: 1 where a frame counts."""
        frames = torch.arange(T, device=lengths.device)
        return (frames < lengths.unsqueeze(1)).unsqueeze(1).to(self.dtype)
