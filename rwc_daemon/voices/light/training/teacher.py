"""The teacher: a text-to-speech net whose style says who speaks (the first half) and how (the second half).

One call speaks a sentence with one style; its decoder alone then renders the same prosody with any other timbre and
any other range of pitch. The results are aligned to the sample: parallel speech by as many speakers as wanted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rwc_daemon.voices.light.training import packages
from rwc_daemon.voices.light.training.phonemes import phonemes

RATE = 24000
FRAME = 300  # samples of one frame of pitch and energy, which come at 80 Hz
LONGEST_STYLE = 509
TIMBRE = slice(0, 128)
_ASR, _PITCH, _ENERGY = "/encoder/MatMul_1_output_0", "/encoder/Reshape_output_0", "/encoder/Reshape_1_output_0"

Blend = Mapping[str, float]
"""A style: names of the teacher's styles and their shares, which add to 1."""


@dataclass(frozen=True)
class Spoken:
    """What the teacher said."""

    audio: np.ndarray
    """f32[n] @24 kHz."""
    pitch: np.ndarray
    """f32[n / 300]: Hz, low or 0 where unvoiced."""
    latent: np.ndarray
    """The input of the decoder alone, with `energy`."""
    energy: np.ndarray
    tokens: int


class Teacher:
    """Both nets open on one thread."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        self._folder = folder
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        whole, decoder = _cut(packages.teacher(folder))
        self._whole = onnxruntime.InferenceSession(str(whole), options, providers=["CPUExecutionProvider"])
        self._decoder = onnxruntime.InferenceSession(str(decoder), options, providers=["CPUExecutionProvider"])
        self._numbers: dict[str, int] = json.loads(packages.vocabulary(folder).read_text(encoding="utf-8"))["vocab"]
        self._styles: dict[str, np.ndarray] = {}

    def style(self, blend: Blend, tokens: int) -> np.ndarray:
        """f32[1, 256]: the style for a sentence of so many tokens."""
        row = min(tokens, LONGEST_STYLE)
        parts = [np.float32(share) * self._style(name)[row] for name, share in blend.items()]
        return np.asarray(np.sum(parts, axis=0, dtype=np.float32))[None]

    def say(self, text: str, language: str, blend: Blend, speed: float = 1.0) -> Spoken:
        """Speaks a sentence."""
        numbers = [self._numbers[sound] for sound in phonemes(text, language) if sound in self._numbers]
        feeds = {
            "tokens": np.array([[0, *numbers, 0]], np.int64),
            "style": self.style(blend, len(numbers)),
            "speed": np.array([speed], np.float32),
        }
        audio, latent, pitch, energy = self._whole.run(["audio", _ASR, _PITCH, _ENERGY], feeds)
        return Spoken(audio.ravel(), pitch.ravel(), latent, energy, len(numbers))

    def again(self, spoken: Spoken, blend: Blend, pitch_factor: float) -> np.ndarray:
        """f32[n]: the same, aligned to the sample, by another speaker."""
        style = self.style(blend, spoken.tokens)
        pitch = (spoken.pitch * np.float32(pitch_factor)).reshape(spoken.energy.shape)
        feeds = {_ASR: spoken.latent, _PITCH: pitch, _ENERGY: spoken.energy, "style": style}
        audio: np.ndarray = self._decoder.run(["audio"], feeds)[0]
        return audio.ravel()

    def _style(self, name: str) -> np.ndarray:
        if name not in self._styles:
            data = np.fromfile(packages.styles(self._folder) / f"{name}.bin", np.float32)
            self._styles[name] = data.reshape(-1, 256)
        return self._styles[name]


def _cut(path: Path) -> tuple[Path, Path]:
    """Writes, once, the net with its inner results as outputs, and its decoder alone; returns their paths."""
    whole, part = path.with_name("teacher-open.onnx"), path.with_name("teacher-decoder.onnx")
    if whole.exists() and part.exists():
        return whole, part
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(str(path))
    inner = [_ASR, _PITCH, _ENERGY]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inner)
    onnx.save(model, str(whole))
    shapes: dict[str, Any] = {_ASR: [1, 512, "frames"], _PITCH: None, _ENERGY: None, "style": [1, 256]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    nodes, weights = _needed(model.graph, "audio", set(shapes))
    outputs = [output for output in model.graph.output if output.name == "audio"]
    graph = helper.make_graph(nodes, "decoder", inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    onnx.save(made, str(part))
    return whole, part


def _needed(graph: Any, goal: str, given: set[str]) -> tuple[list[Any], list[Any]]:
    """The nodes and weights from which `goal` follows, once `given` is known."""
    maker = {output: node for node in graph.node for output in node.output}
    weights = {weight.name: weight for weight in graph.initializer}
    kept: set[int] = set()
    used: set[str] = set()
    open_names = [goal]
    while open_names:
        name = open_names.pop()
        if name in given:
            continue
        if name in weights:
            used.add(name)
        elif id(maker[name]) not in kept:
            kept.add(id(maker[name]))
            open_names += [needed for needed in maker[name].input if needed]
    return [node for node in graph.node if id(node) in kept], [weights[name] for name in sorted(used)]
