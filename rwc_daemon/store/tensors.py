"""Tensors that lie in a file: where they are, reading one at a time, safetensors in and out.

Nothing is mapped or read until asked for, so a file that lies about its sizes costs no memory. Format: a little-endian
uint64 header length, a JSON header {name: {dtype, shape, data_offsets}}, the data.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rwc_daemon.errors import BadModel

Progress = Callable[[float], None]
# share of the work done, 0 … 1

NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1", "U8": "<u1", "BOOL": "?",
}  # fmt: skip
WEIGHTS = ("F64", "F32", "F16", "BF16")
MOST_HEADER = 32 << 20  # bytes
MOST_TENSORS, MOST_DIMENSIONS, MOST_TENSOR = 50_000, 8, 2 << 30
DAMAGED = "the file is damaged: get it again"


@dataclass
class Storage:
    """A run of numbers in an open file."""

    file: BinaryIO
    dtype: str
    """A key of NUMPY."""
    count: int
    """Numbers."""
    start: int = -1
    """Byte in the file; -1: not yet known."""

    @property
    def item(self) -> int:
        """Bytes per number."""
        return np.dtype(NUMPY[self.dtype]).itemsize


@dataclass(frozen=True)
class Tensor:
    """A view of a storage, checked to lie inside it. Make it with `Tensor.of`."""

    storage: Storage
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Numbers."""
    offset: int
    """Numbers."""

    @classmethod
    def of(cls, storage: Storage, shape: object, strides: object = None, offset: object = 0) -> Tensor:
        """Raises BadModel where the view is not a plain selection of the storage's own numbers."""
        sizes = _counts(shape)
        steps = contiguous(sizes) if strides is None else _counts(strides)
        if len(steps) != len(sizes) or type(offset) is not int or offset < 0:
            raise BadModel(f"a tensor's sizes, strides and offset do not belong together: {DAMAGED}")
        numbers = math.prod(sizes)
        last = offset + sum((n - 1) * step for n, step in zip(sizes, steps, strict=True)) if numbers else offset
        if numbers > storage.count or last >= max(storage.count, 1) or numbers * storage.item > MOST_TENSOR:
            raise BadModel(f"a tensor of shape {sizes} reaches beyond its data: {DAMAGED}")
        return cls(storage, sizes, steps, offset)

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.storage.item

    def read(self) -> np.ndarray:
        """The numbers: float16 and float32 as they are, other floats as float32, the rest as stored."""
        item, dtype = self.storage.item, np.dtype(NUMPY[self.storage.dtype])
        if not math.prod(self.shape):
            return np.zeros(self.shape, dtype)
        span = 1 + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        raw = read_at(self.storage.file, self.storage.start + self.offset * item, span * item)
        flat = np.frombuffer(raw, dtype)
        found = np.lib.stride_tricks.as_strided(flat, self.shape, [item * step for step in self.strides])
        return _plain_float(self.storage.dtype, np.ascontiguousarray(found).reshape(self.shape))


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in numbers, of a tensor in C order."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def read_at(file: BinaryIO, start: int, length: int) -> bytes:
    """Exactly `length` bytes from `start`; raises BadModel where the file is shorter."""
    if not 0 <= start < 1 << 62:
        raise BadModel(f"the file points outside itself: {DAMAGED}")
    parts = []
    while length > 0:
        part = os.pread(file.fileno(), min(length, 1 << 26), start)
        if not part:
            raise BadModel(f"the file ends too early: {DAMAGED}")
        parts.append(part)
        start, length = start + len(part), length - len(part)
    return b"".join(parts)


def _counts(value: object) -> tuple[int, ...]:
    good = isinstance(value, (list, tuple)) and len(value) <= MOST_DIMENSIONS
    if not good or any(type(n) is not int or not 0 <= n < 1 << 40 for n in value):  # type: ignore[union-attr, attr-defined]
        raise BadModel(f"a tensor's shape or strides are not counts: {DAMAGED}")
    return tuple(value)  # type: ignore[arg-type]


def _plain_float(dtype: str, found: np.ndarray) -> np.ndarray:
    if dtype == "BF16":  # the upper half of a float32
        return (found.astype("<u4") << np.uint32(16)).view("<f4")
    return found.astype("<f4") if dtype == "F64" else found


def read_safetensors(file: BinaryIO) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of an open file. Raises BadModel for a header that lies."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(read_at(file, 0, 8), "little")
    if not 2 <= length <= min(MOST_HEADER, size - 8):
        raise BadModel(f"a safetensors header of {length} bytes does not fit this file: {DAMAGED}")
    try:
        header = json.loads(read_at(file, 8, length))
    except (ValueError, RecursionError):
        raise BadModel(f"the safetensors header cannot be read: {DAMAGED}") from None
    if not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise BadModel(f"the safetensors header lists no tensors: {DAMAGED}")
    notes = header.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(text, str) for text in notes.values()):
        raise BadModel(f"the safetensors metadata are not texts: {DAMAGED}")
    tensors = {name: _entry(file, entry, 8 + length, size) for name, entry in header.items()}
    if sum(tensor.bytes for tensor in tensors.values()) > size:
        raise BadModel(f"the tensors of this file overlap: {DAMAGED}")
    return tensors, notes


def _entry(file: BinaryIO, entry: Any, base: int, size: int) -> Tensor:
    try:
        dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        known = dtype in NUMPY and type(start) is int and type(end) is int and 0 <= start <= end <= size - base
    except (TypeError, KeyError, ValueError):
        known = False
    if not known:
        raise BadModel(f"a safetensors entry names no data of this file: {DAMAGED}")
    storage = Storage(file, dtype, 0, base + start)
    storage.count = (end - start) // storage.item
    tensor = Tensor.of(storage, shape)
    if tensor.bytes != end - start:
        raise BadModel(f"a safetensors entry's shape and size differ: {DAMAGED}")
    return tensor


@dataclass
class Writer:
    """Writes tensors as safetensors, one in memory at a time; refuses what is not a number."""

    path: Path
    notes: dict[str, str] = field(default_factory=dict)
    """Metadata of the file."""
    progress: Progress = lambda share: None

    def write(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises BadModel for a tensor that holds NaN, infinity or no weights; OSError where the disk is full."""
        with self.path.open("xb") as file:
            file.write(self._header(tensors))
            for done, (name, tensor) in enumerate(sorted(tensors.items()), start=1):
                file.write(finite(name, tensor.read()).tobytes())
                self.progress(done / len(tensors))
            file.flush()
            os.fsync(file.fileno())

    def _header(self, tensors: Mapping[str, Tensor]) -> bytes:
        header: dict[str, object] = {"__metadata__": self.notes}
        at = 0
        for name, tensor in sorted(tensors.items()):
            if tensor.storage.dtype not in WEIGHTS:
                raise BadModel(f"tensor {name} holds {tensor.storage.dtype}, not weights: {DAMAGED}")
            kind = "F16" if tensor.storage.dtype == "F16" else "F32"
            size = math.prod(tensor.shape) * (2 if kind == "F16" else 4)
            header[name] = {"dtype": kind, "shape": tensor.shape, "data_offsets": (at, at + size)}
            at += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text


def finite(name: str, found: np.ndarray) -> np.ndarray:
    """`found` itself; raises BadModel where it holds NaN or infinity."""
    if not np.isfinite(found).all():
        raise BadModel(
            f"tensor {name} holds values that are not numbers (NaN or infinity): "
            "the training of this file failed or it is damaged; take another one"
        )
    return found
