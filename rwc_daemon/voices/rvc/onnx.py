"""An RVC voice in ONNX form: a synthesizer whose inside is closed, through onnxruntime (the extra `onnx`).

It renders all frames it hears, so it costs more than the net itself, and draws its source noise inside: two runs agree
in everything but that noise. Exports differ in the names of their inputs; each is found by what it is.
Source: the project's survey of files, section 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rwc_daemon import extras
from rwc_daemon.errors import BadModel
from rwc_daemon.store.layout import SynthConfig
from rwc_daemon.voices.rvc.synth import Draws, Window

if TYPE_CHECKING:
    from rwc_daemon.store.card import VoiceCard

ROLES = {
    "phone": "phone",
    "feats": "phone",
    "phone_lengths": "length",
    "p_len": "length",
    "pitch": "coarse",
    "pitchf": "hz",
    "nsff0": "hz",
    "ds": "speaker",
    "sid": "speaker",
    "rnd": "latent",
}
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}
LATENT = 192  # channels of every published voice


class OnnxSynthesizer:
    """What a `Synthesizer` is to a `Renderer`."""

    def __init__(self, path: Path, config: SynthConfig, device: str) -> None:
        """Raises MissingPackage, BadModel."""
        try:
            import onnxruntime
            from onnxruntime.capi import onnxruntime_pybind11_state as refusals
        except ImportError as error:
            raise extras.missing("onnxruntime", "an ONNX voice") from error
        wanted = ["CUDAExecutionProvider"] if device == "cuda" else []
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        providers = [one for one in (*wanted, "CPUExecutionProvider") if one in onnxruntime.get_available_providers()]
        try:
            self._run = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except (refusals.Fail, refusals.InvalidArgument, refusals.InvalidGraph, refusals.InvalidProtobuf) as error:
            raise BadModel(f"onnxruntime cannot open this voice: {str(error)[:200]}") from error
        self.config = config
        strange = [one.name for one in self._run.get_inputs() if one.name not in ROLES or one.type not in TYPES]
        if strange:
            raise BadModel(f"this ONNX voice wants {', '.join(strange)}, which no known export does: export it again")

    def render(
        self, phone: Tensor, pitch: Tensor | None, f0: Tensor | None, speaker: Tensor, draws: Draws, window: Window
    ) -> Tensor:
        """As `Synthesizer.render`. A formant shift stretches the features themselves."""
        T, stretch = phone.shape[1], window.stretch or window.length
        N = round(T * stretch / window.length)
        at = ((torch.arange(N) + 0.5) * (T / N)).long().to(phone.device)
        latent = F.pad(draws.latent, (T - draws.latent.shape[-1], 0))[..., at]
        given: dict[str, Any] = {
            "phone": phone[:, at],
            "length": torch.tensor([N]),
            "speaker": speaker,
            "latent": latent,
        }
        if pitch is not None and f0 is not None:
            given |= {"coarse": pitch[:, at], "hz": f0[:, at]}
        y = self._answer({role: np.asarray(value.cpu()) for role, value in given.items()})
        first = round(window.skip * N / T) * self.config.hop
        wanted = stretch * self.config.hop
        if y.size < first + wanted:
            raise BadModel(f"this ONNX voice gives {y.size} samples for {N} frames: its export has a fixed length")
        return torch.from_numpy(y.reshape(1, 1, -1)[..., first : first + wanted].astype(np.float32))

    def _answer(self, given: dict[str, np.ndarray]) -> np.ndarray:
        fed = {one.name: given[ROLES[one.name]].astype(TYPES[one.type]) for one in self._run.get_inputs()}
        return np.asarray(self._run.run(None, fed)[0])


def config_of(card: VoiceCard) -> SynthConfig:
    """What is known of the closed net, as far as callers ask: rate, width, pitch, speakers."""
    hop = card.rate // 100
    return SynthConfig(
        inter=LATENT,
        hidden=LATENT,
        filter=4 * LATENT,
        heads=2,
        layers=6,
        kernel=3,
        resblock="1",
        resblock_kernels=(3, 7, 11),
        resblock_dilations=((1, 3, 5),) * 3,
        rates=(hop,),
        upsample_kernels=(2 * hop,),
        initial=512,
        speakers=card.speakers,
        gin=256,
        rate=card.rate,
        version=card.version,
        f0=card.f0,
    )
