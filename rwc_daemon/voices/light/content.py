"""What is said, every 20 ms: the content encoder as a stream. NumPy only.

The memory is an argument: the same net serves any number of streams. A step takes the mel spectra of two hops and
answers for the frame before, because the first block looks one frame ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import fft
from scipy.special import erf

from rwc_daemon.voices.light import shape

EPSILON = np.float32(1e-5)
DEPTH = shape.WIDTH // shape.HEADS
HALF = np.float32(0.5)


@dataclass
class BlockMemory:
    """What one block remembers."""

    keys: np.ndarray = field(default_factory=lambda: np.zeros((shape.HEADS, shape.REACH, DEPTH), np.float32))
    values: np.ndarray = field(default_factory=lambda: np.zeros((shape.HEADS, shape.REACH, DEPTH), np.float32))
    mixed: np.ndarray = field(default_factory=lambda: np.zeros((shape.PAST_TAPS + 1, shape.WIDTH), np.float32))
    """Inputs of the convolution, the newest last."""
    waiting: np.ndarray | None = None
    """The frame that waits for the next one, in a block that looks ahead."""
    frames: int = 0


@dataclass
class Memory:
    """What the encoder remembers of one stream."""

    blocks: tuple[BlockMemory, ...] = field(default_factory=lambda: tuple(BlockMemory() for _ in range(shape.BLOCKS)))
    mel: np.ndarray = field(default_factory=lambda: np.zeros(shape.MELS, np.float32))
    """Of the hop before."""


class ContentBlock:
    """The weights of one block."""

    def __init__(self, arrays: Mapping[str, np.ndarray], prefix: str, look: int) -> None:
        self.look = look
        for name in ("up1", "down1", "qkv", "join", "gate", "mix", "up2", "down2"):
            matrix = np.ascontiguousarray(arrays[f"{prefix}.{name}.weight"].T)
            setattr(self, name, (matrix, arrays[f"{prefix}.{name}.bias"]))
        for name in ("norm1", "norm_attend", "norm_mix", "norm2", "norm"):
            setattr(self, name, (arrays[f"{prefix}.{name}.weight"], arrays[f"{prefix}.{name}.bias"]))
        self.near = np.ascontiguousarray(arrays[f"{prefix}.near.weight"][:, 0].T), arrays[f"{prefix}.near.bias"]

    up1: tuple[np.ndarray, np.ndarray]
    down1: tuple[np.ndarray, np.ndarray]
    qkv: tuple[np.ndarray, np.ndarray]
    join: tuple[np.ndarray, np.ndarray]
    gate: tuple[np.ndarray, np.ndarray]
    mix: tuple[np.ndarray, np.ndarray]
    up2: tuple[np.ndarray, np.ndarray]
    down2: tuple[np.ndarray, np.ndarray]
    norm1: tuple[np.ndarray, np.ndarray]
    norm_attend: tuple[np.ndarray, np.ndarray]
    norm_mix: tuple[np.ndarray, np.ndarray]
    norm2: tuple[np.ndarray, np.ndarray]
    norm: tuple[np.ndarray, np.ndarray]

    def step(self, x: np.ndarray, memory: BlockMemory) -> np.ndarray | None:
        """f32[144] → f32[144], of the frame before where the block looks ahead; None: there was none yet."""
        x = x + HALF * linear(silu(linear(normed(x, self.norm1), self.up1)), self.down1)
        x = x + linear(self._attended(linear(normed(x, self.norm_attend), self.qkv), memory), self.join)
        gate = linear(normed(x, self.norm_mix), self.gate)
        memory.mixed[:-1] = memory.mixed[1:]
        memory.mixed[-1] = gate[: shape.WIDTH] * sigmoid(gate[shape.WIDTH :])
        if self.look:
            waited, memory.waiting = memory.waiting, x
            if waited is None:
                return None
            x = waited
        taps, bias = self.near
        x = x + linear(silu((memory.mixed[-len(taps) :] * taps).sum(axis=0) + bias), self.mix)
        x = x + HALF * linear(silu(linear(normed(x, self.norm2), self.up2)), self.down2)
        return normed(x, self.norm)

    @staticmethod
    def _attended(qkv: np.ndarray, memory: BlockMemory) -> np.ndarray:
        query, key, value = qkv.reshape(3, shape.HEADS, DEPTH)
        at = memory.frames % shape.REACH
        memory.keys[:, at], memory.values[:, at] = key, value
        memory.frames += 1
        count = min(memory.frames, shape.REACH)
        scores = (memory.keys[:, :count] @ query[:, :, None])[..., 0] * np.float32(DEPTH**-0.5)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        return (scores[:, None] @ memory.values[:, :count]).reshape(-1)


class Encoder:
    """The weights of the content encoder."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._mel = arrays["mel"]
        self._window = shape.hann(shape.MEL_WINDOW).astype(np.float32)
        kernel = arrays["first.weight"]  # [144, 80, 3]: spectra one after the other
        self._first = np.ascontiguousarray(kernel.transpose(2, 1, 0).reshape(-1, shape.WIDTH)), arrays["first.bias"]
        # a convolution keeps as many frames as it has taps, one more where it looks ahead
        self._blocks = tuple(ContentBlock(arrays, f"blocks.{n}", look) for n, look in enumerate(shape.LOOK))

    def memory(self) -> Memory:
        """That of a stream that has heard nothing."""
        memory = Memory()
        for own, block in zip(memory.blocks, self._blocks, strict=True):
            own.mixed = np.zeros((len(block.near[0]), shape.WIDTH), np.float32)
        return memory

    def spectra(self, x_16k: np.ndarray) -> np.ndarray:
        """f32[400 + 160 (n - 1)] → f32[n, 80]: log-mel spectra of windows one hop apart."""
        rows = np.lib.stride_tricks.sliding_window_view(x_16k, shape.MEL_WINDOW)[:: shape.HOP_16K]
        spectrum = fft.rfft(rows * self._window, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        return np.log(np.maximum(power @ self._mel, np.float32(shape.QUIETEST_MEL)))

    def step(self, mel: np.ndarray, memory: Memory) -> np.ndarray | None:
        """f32[2, 80]: the next two hops → f32[288] of the frame before; None after the first two."""
        x = gelu(linear(np.concatenate([memory.mel, mel[0], mel[1]]), self._first))
        memory.mel = mel[1]
        taken = []
        for n, (block, own) in enumerate(zip(self._blocks, memory.blocks, strict=True)):
            moved = block.step(x, own)
            if moved is None:
                return None
            x = moved
            if n in shape.TAKEN:
                taken.append(x)
        return np.concatenate(taken)


def linear(x: np.ndarray, layer: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """x · matrix + bias."""
    return x @ layer[0] + layer[1]


def normed(x: np.ndarray, layer: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Mean 0, variance 1, then scale and shift."""
    x = x - x.mean()
    return x * (1 / np.sqrt((x * x).mean() + EPSILON)) * layer[0] + layer[1]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def silu(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (HALF + HALF * erf(x * np.float32(0.5**0.5)))
