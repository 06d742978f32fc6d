"""An RVC voice: its nets, its index, and the trackers it may be led by."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

import numpy as np
import soxr
import torch

from rwc_daemon.controls import Controls
from rwc_daemon.errors import BadModel, OutOfRange, Unsupported
from rwc_daemon.plan import HOPS_PER_SECOND, RATE_16K, Block, Plan
from rwc_daemon.store.card import VoiceCard
from rwc_daemon.store.encoders import CONTENTVEC, encoder_for
from rwc_daemon.store.layout import NSF, SynthConfig
from rwc_daemon.trackers import AUTO
from rwc_daemon.voices.base import Progress, Samples, VoiceInfo, VoiceSource
from rwc_daemon.voices.cpu import has_bf16_units
from rwc_daemon.voices.described import info_of
from rwc_daemon.voices.f0.base import Tracker
from rwc_daemon.voices.f0.registry import WeightFiles, available, open_tracker
from rwc_daemon.voices.quality_ladder import QualityStep, ladder
from rwc_daemon.voices.rvc import weights
from rwc_daemon.voices.rvc.content import ContentEncoder
from rwc_daemon.voices.rvc.cuda_graphs import CudaGraphCache
from rwc_daemon.voices.rvc.live import LIVE_OPTIONS, LiveStep
from rwc_daemon.voices.rvc.noise import FrameNoise
from rwc_daemon.voices.rvc.onnx import OnnxSynthesizer, config_of
from rwc_daemon.voices.rvc.quality_preset import PAST_MS, QualityPreset, quality_preset
from rwc_daemon.voices.rvc.render import Renderer
from rwc_daemon.voices.rvc.retrieval import Index
from rwc_daemon.voices.rvc.session import RvcSession
from rwc_daemon.voices.rvc.sola import Geometry, whole_hops
from rwc_daemon.voices.rvc.synth import Synthesizer
from rwc_daemon.voices.shared import shared

GRAPHS = "RWC_CUDA_GRAPHS"  # in the environment: 0 runs every kernel by itself
HOP_MS = 1000 / HOPS_PER_SECOND
LEAST_S = 0.1  # of sound that nets are given
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass
class RvcVoice:
    """Loaded weights (see `voices.base.Voice`)."""

    info: VoiceInfo
    renderer: Renderer
    assets: WeightFiles
    precision: str
    fill_gaps: bool = False
    """Unvoiced frames get their neighbours' pitch: for voices trained with the RVC of 2026 and later."""
    opened: dict[str, Tracker] = field(default_factory=dict, repr=False)

    @classmethod
    def load(
        cls,
        card: VoiceCard,
        assets: WeightFiles,
        device: str = "auto",
        precision: str = "auto",
        packed: bool = True,
        weight_bits: int = 16,
    ) -> RvcVoice:
        """`device`: "auto", "cpu" or "cuda"; `precision`: "auto" or one of `PRECISIONS`; `packed`: as for a
        `Synthesizer`; `weight_bits`: 8 allows backends that keep fewer digits of the content encoder's weights.

        Raises MissingAsset and MissingPackage before anything is read, BadModel, Unsupported.
        """
        encoder = encoder_for(card.embedder, assets)
        encoder_path = assets.path(encoder)
        device = choose_device(device)
        precision = choose_precision(device, precision)
        dtype = getattr(torch, precision)
        index = Index.load(card.index, device) if card.index else None
        synth = _synthesizer(card, device, dtype, packed)
        content = shared(
            encoder_path,
            (device, precision, packed, weight_bits),
            lambda: ContentEncoder.load(
                weights.read(encoder_path), device, dtype, packed=packed, weight_bits=weight_bits
            ),
        )
        _check_widths(synth.config, content, index, encoder)
        graphs = device == "cuda" and isinstance(synth, Synthesizer) and os.environ.get(GRAPHS, "1") != "0"
        graph_cache = CudaGraphCache(device) if graphs else None
        return cls(info_of(card, assets), Renderer(content, synth, index, device, graph_cache), assets, precision)

    @property
    def device(self) -> str:
        return self.renderer.device

    @property
    def block(self) -> Block:
        return self.block_for(Controls())

    def block_for(self, controls: Controls) -> Block:
        """The live block that the wished quality leads to."""
        return Block(self.steps(controls.quality).block_ms, on_hop=True)

    def ladder(self, controls: Controls) -> tuple[QualityStep, ...]:
        return ladder(controls, self.info.f0)

    def pitch_shift(self, controls: Controls) -> float | None:
        return controls.pitch if self.info.f0 else None

    def steps(self, quality: str) -> QualityPreset:
        """What a session of this quality spends here. Raises OutOfRange."""
        return quality_preset(self.device, quality)

    def tracker(self, name: str, best: str = AUTO[0]) -> Tracker:
        """Opened once, then kept; "auto" is `best` or what comes after it. Raises MissingAsset, MissingPackage,
        BadModel."""
        if name == "auto":
            missing = available(self.assets)
            name = next(one for one in AUTO[AUTO.index(best) :] if not missing[one])
        if name not in self.opened:
            self.opened[name] = open_tracker(name, self.assets, self.device, self.precision)
        return self.opened[name]

    def noise(self, seed: int) -> FrameNoise:
        return FrameNoise(self.renderer.config, seed)

    def open(self, plan: Plan, controls: Controls, seed: int = 0, preset: QualityPreset | None = None) -> RvcSession:
        """A live session. The speaker is checked now; later wishes beyond the last speaker mean the last.

        Quality (unless `preset` says what the session may spend) and tracker are read here and stay. All sessions share
        the weights. Raises what `tracker` raises.
        """
        self.renderer.check_speaker(controls.speaker)
        preset = preset or self.steps(controls.quality)
        geometry = live_geometry(plan, preset)
        options = replace(
            LIVE_OPTIONS,
            fill_gaps=self.fill_gaps,
            content_frames=round(preset.content_ms / HOP_MS),
            text_frames=round(preset.text_ms / HOP_MS),
        )
        step = LiveStep(self.renderer, geometry, self.noise(seed), options)
        tracker = self.tracker(controls.f0_method, preset.tracker) if self.info.f0 else None
        return RvcSession(geometry, self.info.rate, step, tracker)

    def convert_whole(
        self, x: Samples, rate: int, controls: Controls, seed: int = 0, progress: Progress | None = None
    ) -> Samples:
        """See `voices.base.Offline`. Raises what `tracker` raises, OutOfRange for a wrong speaker."""
        from rwc_daemon.voices.rvc import offline

        # nets need some frames to look at, also for one sample
        heard = soxr.resample(np.pad(x, (0, max(0, round(LEAST_S * rate) - len(x)))), rate, RATE_16K)
        tracker = self.tracker(controls.f0_method) if self.info.f0 else None
        renderer = replace(self.renderer, graphs=None)  # no two pieces are of one length
        pipeline = offline.OfflinePipeline(renderer, offline.OfflineOptions(fill_gaps=self.fill_gaps))
        y = pipeline.convert(heard, tracker, self.noise(seed), controls, progress)
        y = offline.below_full_scale(soxr.resample(y, self.info.rate, rate))
        return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)].astype(np.float32)


def load(source: VoiceSource) -> RvcVoice:
    """Returns the voice; see `families.FamilyRow.module`. Raises what `RvcVoice.load` raises."""
    assert source.card is not None, source.info
    return RvcVoice.load(source.card, source.assets, source.device, weight_bits=source.weight_bits)


def live_geometry(plan: Plan, preset: QualityPreset) -> Geometry:
    """The window of a live session."""
    return Geometry(
        rate=plan.rate,
        block=plan.block,
        context=whole_hops(PAST_MS / 1000, plan.rate),
        crossfade=whole_hops(preset.delay_ms / 1000, plan.rate),
        search=0,
        longest_fade=round(preset.splice_ms / HOP_MS),
    )


def _synthesizer(card: VoiceCard, device: str, dtype: torch.dtype, packed: bool) -> Synthesizer | OnnxSynthesizer:
    if card.kind == "rvc-onnx":
        return OnnxSynthesizer(card.weights, config_of(card), device)
    tensors = weights.read(card.weights)
    config = SynthConfig.parse(card.config, card.version, card.f0, _rows(tensors), card.vocoder or NSF)
    return Synthesizer.load(tensors, config, device, dtype, packed)


def _check_widths(config: SynthConfig, content: ContentEncoder, index: Index | None, encoder: str) -> None:
    given, wanted = content.width(config.version), config.content
    if not given:
        raise Unsupported(
            f"the content encoder '{encoder}' has no projection to the {wanted} features of {config.version} voices: "
            f"`rwcctl assets remove {encoder}` lets the voice play with contentvec"
        )
    if given != wanted:
        raise BadModel(
            f"the content encoder gives {given} features, a {config.version} voice wants {wanted}: "
            f"run `rwcctl assets fetch {CONTENTVEC}`"
        )
    if index is not None and index.width != wanted:
        raise BadModel(f"the index is {index.width} wide, the voice {wanted}: import the voice with its own .index")


def choose_device(wanted: str) -> str:
    """Raises Unsupported for a device that this machine has not."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise OutOfRange(f"a device is auto, cpu or cuda; not '{wanted}'")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise Unsupported("no CUDA device can be used here: choose device auto or cpu, or see `rwcctl doctor`")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def choose_precision(device: str, wanted: str) -> str:
    """ "auto" is half precision where the device computes it faster: float16 on a GPU from the Volta generation on,
    bfloat16 on a CPU with matrix units (AMX); else float32."""
    if wanted != "auto":
        if wanted not in PRECISIONS:
            raise OutOfRange(f"a precision is auto, {', '.join(PRECISIONS)}; not '{wanted}'")
        return wanted
    if device == "cuda":
        return "float16" if torch.cuda.get_device_capability() >= (7, 0) else "float32"
    return "bfloat16" if has_bf16_units() else "float32"


def _rows(tensors: weights.Tensors) -> int:
    """Speakers that the file has vectors for."""
    table = tensors.get("emb_g.weight")
    if table is None:
        raise BadModel("this voice lacks emb_g.weight: import a complete inference file")
    return table.shape[0]
