"""Light voices of random weights: everything but the sound is as with trained ones."""

from __future__ import annotations

import numpy as np
import pytest

from rwc_daemon.voices.light import native, shape
from rwc_daemon.voices.light.session import Nets

Arrays = dict[str, np.ndarray]


def drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    scale = {name: 0.7 / np.sqrt(max(1, np.prod(size[1:]))) for name, size in shapes.items()}
    return {name: (scale[name] * rng.standard_normal(size)).astype(np.float32) for name, size in shapes.items()}


@pytest.fixture(scope="session")
def encoder_arrays() -> Arrays:
    W, I = shape.WIDTH, shape.INNER
    shapes: dict[str, tuple[int, ...]] = {"first.weight": (W, shape.MELS, 3), "first.bias": (W,)}
    linears = {"up1": (I, W), "down1": (W, I), "qkv": (3 * W, W), "join": (W, W), "gate": (2 * W, W), "mix": (W, W)}
    linears |= {"up2": (I, W), "down2": (W, I)}
    for n, look in enumerate(shape.LOOK):
        for name, size in linears.items():
            shapes |= {f"blocks.{n}.{name}.weight": size, f"blocks.{n}.{name}.bias": size[:1]}
        shapes |= {f"blocks.{n}.near.weight": (W, 1, 16 + look), f"blocks.{n}.near.bias": (W,)}
    arrays = drawn(shapes, 1)
    for n in range(shape.BLOCKS):
        for name in ("norm1", "norm_attend", "norm_mix", "norm2", "norm"):
            arrays |= {f"blocks.{n}.{name}.weight": np.ones(W, np.float32)}
            arrays |= {f"blocks.{n}.{name}.bias": np.zeros(W, np.float32)}
    arrays["mel"] = np.abs(drawn({"mel": (201, shape.MELS)}, 2)["mel"])
    return arrays


@pytest.fixture(scope="session")
def decoder_arrays() -> Arrays:
    C, layers = shape.CHANNELS, len(shape.DILATIONS)
    sizes: dict[str, tuple[int, ...]] = {
        "pre": (shape.REDUCED, shape.CONTENT),
        "first": (C, shape.REDUCED + shape.CONDITIONS, shape.FIRST_TAPS),
        "last": (shape.OUTPUTS, C, 1),
        "begin": (C, shape.EMBEDDING),
        "scale": (layers * C, shape.EMBEDDING),
        "shift": (layers * C, shape.EMBEDDING),
        "end": (shape.OUTPUTS, shape.EMBEDDING),
    }
    for n in range(layers):
        sizes |= {f"wide.{n}": (C, C, shape.TAPS), f"onward.{n}": (C, C, 1)}
    shapes = {f"{name}.weight": size for name, size in sizes.items()}
    arrays = drawn(shapes | {f"{name}.bias": size[:1] for name, size in sizes.items()}, 3)
    arrays |= {"mean": np.zeros(shape.CONTENT, np.float32), "spread": np.full(shape.CONTENT, 2, np.float32)}
    arrays |= {"condition_mean": np.array([0, 0.7, -2], np.float32), "condition_spread": np.ones(3, np.float32)}
    for name in ("last.weight", "last.bias", "end.weight", "end.bias"):  # a steady tone
        arrays[name][shape.PHASE] = 0
        arrays[name] *= 0.2
    arrays["last.bias"][shape.HARMONIC] -= 4
    arrays["last.bias"][shape.NOISE] -= 8
    return arrays


@pytest.fixture(scope="session")
def embedding() -> np.ndarray:
    return np.random.default_rng(4).standard_normal(shape.EMBEDDING).astype(np.float32)


@pytest.fixture(scope="session")
def nets(encoder_arrays: Arrays, decoder_arrays: Arrays, embedding: np.ndarray) -> Nets:
    return Nets(native.Encoder(encoder_arrays), native.Decoder(decoder_arrays, embedding), 150.0, -2.5)
