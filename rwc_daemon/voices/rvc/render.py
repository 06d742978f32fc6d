"""What one voice can do with sound: find the content, mix in its index, render. Stateless; live and files share it.

Shapes: N samples @16k, n content rows of 20 ms, T frames of 10 ms, C content width, L frames rendered, U samples per
frame at the voice's rate. Source: docs/rvc.md sections 4.4, 5, 6.1 and 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rwc_daemon.dsp.resample import resample
from rwc_daemon.errors import OutOfRange
from rwc_daemon.store.layout import SynthConfig
from rwc_daemon.voices.f0 import shape
from rwc_daemon.voices.f0.base import Tracker
from rwc_daemon.voices.rvc.content import SHORTEST_16K, ContentEncoder
from rwc_daemon.voices.rvc.cuda_graphs import CudaGraphCache
from rwc_daemon.voices.rvc.feature_cache import FeatureCache
from rwc_daemon.voices.rvc.onnx import OnnxSynthesizer
from rwc_daemon.voices.rvc.retrieval import Index, Look, protect
from rwc_daemon.voices.rvc.synth import Draws, Synthesizer, Window

OFF = 0.5  # of `protect`: retrieval everywhere alike


@runtime_checkable
class NetTracker(Tracker, Protocol):
    """A tracker that is a net from end to end, with nothing for the host to do in between."""

    def hz(self, x_16k: Tensor) -> Tensor:
        """f32[N] → f32[N // 160 + 1] on the device: Hz, 0 where unvoiced."""


@dataclass(frozen=True)
class Pitch:
    """A pitch curve as the nets want it."""

    coarse: np.ndarray
    """int64[T], 1 … 255."""
    hz: np.ndarray
    """float32[T], 0 unvoiced."""
    voiced_hz: np.ndarray
    """The same before gaps were filled: what `protect` asks."""

    @classmethod
    def of(cls, f0_hz: np.ndarray, semitones: float, fill_gaps: bool) -> Pitch:
        """From a tracker's curve. `fill_gaps`: unvoiced stretches get the pitch of their neighbours; voices trained
        since 2026 expect that, all others expect 0 there (docs/rvc.md, appendix C)."""
        voiced = shape.transpose(f0_hz, semitones)
        hz = shape.transpose(shape.interpolate_gaps(f0_hz), semitones) if fill_gaps else voiced
        return cls(shape.coarse(hz), hz.astype(np.float32), voiced.astype(np.float32))

    def part(self, first: int, last: int) -> Pitch:
        return Pitch(self.coarse[first:last], self.hz[first:last], self.voiced_hz[first:last])


@dataclass(frozen=True)
class Renderer:
    """The nets of one voice and its index."""

    content: ContentEncoder
    synth: Synthesizer | OnnxSynthesizer
    index: Index | None
    device: str
    graphs: CudaGraphCache | None = None
    """How the nets run where shapes never change; None: as ever."""

    @property
    def config(self) -> SynthConfig:
        return self.synth.config

    def features(
        self, x_16k: np.ndarray, heard: int | None = None, kept: FeatureCache | None = None, first: int = 0
    ) -> Tensor:
        """f32[N] → [n, C]; N is brought to the shortest length that gives one row.

        `heard`: rows only for the last so many samples; the first norm is over all of them. `kept`: remembers rows of
        earlier calls; then `first` is the frame of the sound with which those samples begin.
        """
        x = torch.from_numpy(np.ascontiguousarray(x_16k, np.float32))
        x = F.pad(x, (0, max(0, SHORTEST_16K - len(x))))[None]
        heard = heard or x.shape[1]

        def run(x: Tensor) -> Tensor:
            return self.content.features(x[:, -heard:], self.config.version, x)

        if kept is not None:
            return self.content.understand(kept.hear(x.to(self.device), heard, first), self.config.version)[0]
        if self.graphs is not None:
            return self.graphs(("content", heard), run, [x])[0]
        return run(x.to(self.device))[0]

    def tracked(self, tracker: Tracker, x_16k: np.ndarray) -> np.ndarray:
        """What `tracker` says; one that is a net runs as the others do."""
        if self.graphs is None or not isinstance(tracker, NetTracker):
            return tracker.track(x_16k)
        x = torch.from_numpy(np.ascontiguousarray(x_16k, np.float32))
        return self.graphs(("pitch", tracker.name), tracker.hz, [x]).cpu().numpy()

    def mixed(self, rows: Tensor, rate: float, skip: int = 0, strict: bool = False, look: Look | None = None) -> Tensor:
        """[n, C] → [n, C] with the share `rate` from the index, from row `skip` on (see `Index.mix`)."""
        if self.index is None or rate == 0:
            return rows
        return self.index.mix(rows, rate, skip, strict, look)

    def guarded(self, mixed: Tensor, rows: Tensor, pitch: Pitch, share: float) -> Tensor:
        """[T, C] → [T, C]: only the share of retrieval stays where the voice is unvoiced."""
        if mixed is rows or share >= OFF or not self.config.f0:
            return mixed
        return protect(mixed, rows, pitch.voiced_hz, share)

    def render(
        self, phone: Tensor, pitch: Pitch | None, speaker: int, draws: Draws, window: Window, formant: float = 0.0
    ) -> np.ndarray:
        """phone [T, C] → f32[L*U] @voice; `window.stretch` follows from `formant` (semitones).

        A higher formant renders more frames at a proportionally higher pitch and plays them faster.
        """
        stretch = stretched(window.length, formant)
        ratio = window.exact / self.config.hop if window.exact else stretch / window.length
        ids = hz = None
        if self.config.f0:
            assert pitch is not None
            ids = torch.from_numpy(pitch.coarse)[None]
            hz = torch.from_numpy(pitch.hz * np.float32(ratio))[None]
        who = torch.tensor([speaker])
        audio = self._rendered(phone[None], ids, hz, who, draws, window._replace(stretch=stretch))
        return self._in_time(audio[0, 0].cpu().numpy(), window.length, formant)

    def _rendered(
        self, phone: Tensor, ids: Tensor | None, hz: Tensor | None, who: Tensor, draws: Draws, window: Window
    ) -> Tensor:
        """[1, 1, L*U] from what lies on the host, the features apart."""
        given = (phone, ids, hz, who, *draws)
        used = [n for n, one in enumerate(given) if one is not None]

        def run(*there: Tensor) -> Tensor:
            held: list[Any] = [None] * len(given)
            for n, one in zip(used, there, strict=True):
                held[n] = one
            phone, ids, hz, who, *drawn = held
            return self.synth.render(phone, ids, hz, who, Draws(*drawn), window)

        inputs = [one for one in given if one is not None]
        if self.graphs is not None and not window.exact:  # the grid of a formant shift moves with every block
            return self.graphs(window, run, inputs)
        return run(*(one.to(self.device) for one in inputs))

    def _in_time(self, y: np.ndarray, frames: int, formant: float) -> np.ndarray:
        hop = self.config.hop
        fast = self.hop_at(formant)
        if fast == hop:
            return y[: frames * hop]
        return resample(y[: frames * fast], fast, hop)[: frames * hop]

    def hop_at(self, formant: float) -> int:
        """Samples rendered for those of one hop."""
        return math.floor(2 ** (formant / 12) * self.config.hop)

    @property
    def open(self) -> bool:
        """Whether the net lets itself be asked for a part of what it hears."""
        return isinstance(self.synth, Synthesizer)

    def check_speaker(self, speaker: int) -> None:
        """Raises OutOfRange where the voice has no such speaker."""
        if not 0 <= speaker < self.config.speakers:
            raise OutOfRange(f"this voice has speakers 0 … {self.config.speakers - 1}; not {speaker}")


def stretched(frames: int, formant: float) -> int:
    """Frames that are rendered in the place of `frames`."""
    return math.ceil(frames * 2 ** (formant / 12))


def to_frames(rows: Tensor) -> Tensor:
    """[n, C] → [2n, C]: every 20 ms row twice."""
    return rows.repeat_interleave(2, dim=0)
