"""How an index writes its vectors: float32, float16, a few bits per number, or numbers of a codebook.

Formulas: faiss's `ScalarQuantizer` (a number is the middle of its step between the least and the greatest value seen)
and `ProductQuantizer` (each stretch of a vector is the nearest one of 256).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rwc_daemon.errors import BadModel, Unsupported

DAMAGED = "the index is damaged or incomplete: get it again"
BITS = {0: 8, 1: 4, 2: 8, 3: 4, 6: 6}  # faiss's number of a scalar quantiser → bits per number
UNIFORM = (2, 3)  # one range for all columns, instead of one for each
FLOAT16, DIRECT, BFLOAT16, DIRECT_SIGNED = 4, 5, 7, 8
CODEBOOK = 256  # entries of a product quantiser of 8 bits


@dataclass(frozen=True)
class Codec:
    """The form of one vector in the file."""

    name: str
    #: as faiss's factory says it: Flat, SQ8 …
    size: int
    #: bytes per vector
    decode: Callable[[bytes], np.ndarray]
    #: the bytes of n vectors → f32[n, width]


def flat(width: int) -> Codec:
    return Codec("Flat", 4 * width, lambda data: np.frombuffer(data, "<f4").reshape(-1, width))


def scalar(kind: int, width: int, size: int, trained: np.ndarray) -> Codec:
    """`size`: the bytes per vector that the file claims; `trained`: the ranges, f32. Raises BadModel, Unsupported."""
    if kind in BITS:
        codec = _stepped(kind, width, trained)
    elif kind in (FLOAT16, DIRECT, BFLOAT16, DIRECT_SIGNED):
        codec = _direct(kind, width)
    else:
        raise Unsupported(f"its vectors are quantised in a way that is not known here (faiss's number {kind})")
    if codec.size != size or not np.isfinite(trained).all():
        raise BadModel(DAMAGED)
    return codec


def _stepped(kind: int, width: int, trained: np.ndarray) -> Codec:
    if len(trained) != (2 if kind in UNIFORM else 2 * width):
        raise BadModel(DAMAGED)
    low, span = trained.reshape(2, -1)
    bits = BITS[kind]
    unpack = {8: _bytes, 4: _nibbles, 6: _sixes}[bits]
    size = (width * bits + 7) // 8

    def decode(data: bytes) -> np.ndarray:
        steps = unpack(np.frombuffer(data, np.uint8).reshape(-1, size))[:, :width]
        found: np.ndarray = low + span * ((steps.astype(np.float32) + 0.5) / np.float32((1 << bits) - 1))
        return found

    return Codec(f"SQ{bits}", size, decode)


def _bytes(data: np.ndarray) -> np.ndarray:
    return data


def _nibbles(data: np.ndarray) -> np.ndarray:
    """The lower half of a byte comes first."""
    return np.stack([data & 15, data >> 4], axis=2).reshape(len(data), -1)


def _sixes(data: np.ndarray) -> np.ndarray:
    """Four numbers in three bytes, the lowest bits first."""
    padded = np.pad(data, ((0, 0), (0, -data.shape[1] % 3))).reshape(len(data), -1, 3).astype(np.uint32)
    whole = padded[..., 0] | padded[..., 1] << 8 | padded[..., 2] << 16
    return np.stack([whole >> shift & 63 for shift in (0, 6, 12, 18)], axis=2).reshape(len(data), -1)


def _direct(kind: int, width: int) -> Codec:
    if kind == FLOAT16:
        return Codec("SQfp16", 2 * width, lambda data: np.frombuffer(data, "<f2").astype("f4").reshape(-1, width))
    if kind == BFLOAT16:
        # the upper half of a float32
        return Codec(
            "SQbf16",
            2 * width,
            lambda data: (np.frombuffer(data, "<u2").astype("<u4") << np.uint32(16)).view("<f4").reshape(-1, width),
        )
    zero = 128 if kind == DIRECT_SIGNED else 0
    return Codec("SQ8", width, lambda data: np.frombuffer(data, np.uint8).astype("f4").reshape(-1, width) - zero)


def product(width: int, parts: int, bits: int, codebook: np.ndarray) -> Codec:
    """`codebook`: f32, the 256 stretches of each of `parts`. Raises BadModel, Unsupported."""
    if bits != 8:
        raise Unsupported(f"its vectors are numbers of a codebook of {bits} bits; only 8 are known here")
    if not 1 <= parts <= width or width % parts or len(codebook) != CODEBOOK * width:
        raise BadModel(DAMAGED)
    stretches = codebook.reshape(parts, CODEBOOK, width // parts)

    def decode(data: bytes) -> np.ndarray:
        codes = np.frombuffer(data, np.uint8).reshape(-1, parts)
        return np.concatenate([stretches[part][codes[:, part]] for part in range(parts)], axis=1)

    return Codec(f"PQ{parts}", parts, decode)
