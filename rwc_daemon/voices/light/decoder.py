"""From content, pitch and loudness to the parameters of sound, two hops at a time. NumPy only; the memory is an
argument.

The speaker's embedding scales and shifts what the layers pass on, which is folded into the weights once: a speaker
costs nothing while it speaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rwc_daemon.voices.light import shape
from rwc_daemon.voices.light.content import gelu

STEP = 2  # hops


def _pasts() -> list[np.ndarray]:
    return [np.zeros(((shape.TAPS - 1) * apart, shape.CHANNELS), np.float32) for apart in shape.DILATIONS]


@dataclass
class Memory:
    """The past inputs of every convolution."""

    first: np.ndarray = field(
        default_factory=lambda: np.zeros((shape.FIRST_TAPS - 1, shape.REDUCED + shape.CONDITIONS), np.float32)
    )
    layers: list[np.ndarray] = field(default_factory=_pasts)


class Decoder:
    """The weights of the decoder as one speaker has them."""

    def __init__(self, arrays: Mapping[str, np.ndarray], embedding: np.ndarray) -> None:
        def along(who: str) -> np.ndarray:
            return np.asarray(arrays[f"{who}.weight"] @ embedding + arrays[f"{who}.bias"], np.float32)

        # mean and spread of the content go into the first product, those of the conditions into the second
        reduce = arrays["pre.weight"] / arrays["spread"]
        self._pre = np.ascontiguousarray(reduce.T), arrays["pre.bias"] - reduce @ arrays["mean"]
        self._mean, self._spread = arrays["condition_mean"], arrays["condition_spread"]
        self._first = _rows(arrays["first.weight"]), arrays["first.bias"] + along("begin")
        layers = len(shape.DILATIONS)
        scales, shifts = (along(who).reshape(layers, -1) for who in ("scale", "shift"))
        self._wide = [(_rows(arrays[f"wide.{n}.weight"]), arrays[f"wide.{n}.bias"]) for n in range(layers)]
        self._onward = []
        for n in range(layers):
            matrix, bias = arrays[f"onward.{n}.weight"][..., 0], arrays[f"onward.{n}.bias"]
            scaled = np.ascontiguousarray((matrix * (1 + scales[n])).T)
            self._onward.append((scaled, bias + matrix @ shifts[n]))
        self._last = _rows(arrays["last.weight"]), arrays["last.bias"] + along("end")

    def step(self, content: np.ndarray, conditions: np.ndarray, memory: Memory) -> np.ndarray:
        """f32[288], f32[2, 3] → f32[2, 250]."""
        x = np.empty((STEP, shape.REDUCED + shape.CONDITIONS), np.float32)
        x[:, : shape.REDUCED] = content @ self._pre[0] + self._pre[1]
        x[:, shape.REDUCED :] = (conditions - self._mean) / self._spread
        whole = np.concatenate([memory.first, x])
        memory.first = whole[STEP:]
        x = gelu(_taps(whole, 1, shape.FIRST_TAPS) @ self._first[0] + self._first[1])
        for n, apart in enumerate(shape.DILATIONS):
            whole = np.concatenate([memory.layers[n], x])
            memory.layers[n] = whole[STEP:]
            y = gelu(_taps(whole, apart, shape.TAPS) @ self._wide[n][0] + self._wide[n][1])
            x = x + (y @ self._onward[n][0] + self._onward[n][1])
        return np.asarray(x @ self._last[0] + self._last[1])


def _rows(kernel: np.ndarray) -> np.ndarray:
    """[out, in, taps] → [taps · in, out]."""
    return np.ascontiguousarray(kernel.transpose(2, 1, 0).reshape(-1, len(kernel)))


def _taps(x: np.ndarray, apart: int, taps: int) -> np.ndarray:
    """[STEP + (taps - 1) apart, C] → [STEP, taps · C]."""
    return np.concatenate([x[n * apart : n * apart + STEP] for n in range(taps)], axis=1)
