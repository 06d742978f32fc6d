"""The steps of both nets in C (steps.c), with the interface of their twins in NumPy (`content`, `decoder`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rwc_daemon.voices.light import content, decoder, shape
from rwc_daemon.voices.light._steps import ffi, lib

PANEL = 32
_LINEARS = ("up1", "down1", "qkv", "join", "gate", "mix", "up2", "down2")
_NORMS = ("norm1", "norm_attend", "norm_mix", "norm2", "norm")


class Encoder(content.Encoder):
    """The weights of the content encoder, packed."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__(arrays)
        self._kept: list[Any] = []
        self._packed_first = self._linear(self._first)
        self._packed = ffi.new("rwc_block[]", len(self._blocks))
        for n, (to, block) in enumerate(zip(self._packed, self._blocks, strict=True)):
            for name in _LINEARS:
                setattr(to, name, self._linear(getattr(block, name))[0])
            for name in _NORMS:
                scale, shift = (self._keep(part) for part in getattr(block, name))
                setattr(to, name, {"scale": scale, "shift": shift})
            to.near, to.near_bias = (self._keep(part) for part in block.near)
            to.taps, to.look, to.taken = len(block.near[0]), block.look, n in shape.TAKEN

    def step(self, mel: np.ndarray, memory: content.Memory) -> np.ndarray | None:
        heard = np.concatenate([memory.mel, mel[0], mel[1]])
        memory.mel = mel[1]
        own = ffi.new("rwc_block_memory[]", len(memory.blocks))
        for to, one in zip(own, memory.blocks, strict=True):
            waiting = one.waiting if one.waiting is not None else np.zeros(shape.WIDTH, np.float32)
            one_waits = one.waiting is not None
            one.waiting = waiting
            to.keys, to.values, to.mixed = (_pointer(part) for part in (one.keys, one.values, one.mixed))
            to.waiting, to.frames, to.waits = _pointer(waiting), one.frames, one_waits
        answer = np.empty(shape.CONTENT, np.float32)
        known = lib.rwc_listen(
            self._packed_first, self._packed, len(self._blocks), own, _pointer(heard), _pointer(answer)
        )
        for done, one in zip(own, memory.blocks, strict=True):
            one.frames = done.frames
            one.waiting = one.waiting if done.waits else None
        return answer if known else None

    def _linear(self, layer: tuple[np.ndarray, np.ndarray]) -> Any:
        return _linear(layer, self._kept)

    def _keep(self, array: np.ndarray) -> Any:
        return _keep(array, self._kept)


class Decoder(decoder.Decoder):
    """The weights of the decoder as one speaker has them, packed."""

    def __init__(self, arrays: Mapping[str, np.ndarray], embedding: np.ndarray) -> None:
        super().__init__(arrays, embedding)
        self._kept: list[Any] = []
        self._packed = ffi.new("rwc_decoder *")
        for name, layer in (("pre", self._pre), ("first", self._first), ("last", self._last)):
            setattr(self._packed, name, _linear(layer, self._kept)[0])
        for n, apart in enumerate(shape.DILATIONS):
            self._packed.wide[n] = _linear(self._wide[n], self._kept)[0]
            self._packed.onward[n] = _linear(self._onward[n], self._kept)[0]
            self._packed.apart[n] = apart

    def step(self, content: np.ndarray, conditions: np.ndarray, memory: decoder.Memory) -> np.ndarray:
        own = ffi.new("rwc_decoder_memory *", {"past": [_pointer(one) for one in (memory.first, *memory.layers)]})
        wanted = np.ascontiguousarray((conditions - self._mean) / self._spread, np.float32)
        y = np.empty((decoder.STEP, shape.OUTPUTS), np.float32)
        lib.rwc_speak(self._packed, own, _pointer(content), _pointer(wanted), _pointer(y))
        return y


def _linear(layer: tuple[np.ndarray, np.ndarray], kept: list[Any]) -> Any:
    """An `rwc_linear *` of (matrix [in, out], bias)."""
    matrix, bias = layer
    wide = -(-matrix.shape[1] // 16) * 16
    padded = np.pad(matrix, ((0, 0), (0, wide - matrix.shape[1])))
    panels = [padded[:, begin : begin + PANEL].ravel() for begin in range(0, wide, PANEL)]
    made = ffi.new("rwc_linear *", (_keep(np.concatenate(panels), kept), _keep(bias, kept), *matrix.shape))
    kept.append(made)
    return made


def _keep(array: np.ndarray, kept: list[Any]) -> Any:
    own = np.ascontiguousarray(array, np.float32)
    kept.append(own)
    return _pointer(own)


def _pointer(array: np.ndarray) -> Any:
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    return ffi.cast("float *", ffi.from_buffer(array))
