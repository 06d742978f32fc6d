"""Reads a FAISS file piece by piece, every length checked against what is left of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.faiss_codes import DAMAGED
from rwc_daemon.store.tensors import read_at

WIDTHS = (256, 768)  # content features of v1 and v2
L2 = 1  # the metric
MOST_VECTORS = 1 << 24


class Cursor:
    def __init__(self, file: BinaryIO) -> None:
        self.file, self.at = file, 0
        self.size = os.fstat(file.fileno()).st_size

    def skip(self, length: int) -> int:
        """Passes over bytes; where they begin."""
        if not 0 <= length <= self.size - self.at:
            raise BadModel(DAMAGED)
        self.at += length
        return self.at - length

    def take(self, length: int) -> bytes:
        return read_at(self.file, self.skip(length), length)

    def number(self, length: int = 8) -> int:
        return int.from_bytes(self.take(length), "little", signed=True)

    def numbers(self, count: int) -> np.ndarray:
        return np.frombuffer(self.take(8 * count), "<i8")

    def floats(self) -> np.ndarray:
        """A counted row of float32."""
        return np.frombuffer(self.take(4 * self.number()), "<f4")


@dataclass(frozen=True)
class Header:
    width: int
    count: int


def header(cursor: Cursor) -> Header:
    """Width and count, after the checks that every index shares."""
    width, count = cursor.number(4), cursor.number()
    cursor.take(16)
    trained, metric = cursor.take(1), cursor.number(4)
    if metric != L2:
        raise Unsupported(f"an index of metric {metric} cannot be used, RVC makes plain L2 ones")
    if width not in WIDTHS:
        raise BadModel(f"the index is {width} wide; RVC voices have 256 (v1) or 768 (v2): it belongs to something else")
    if trained != b"\1" or not 0 <= count <= MOST_VECTORS:
        raise BadModel(DAMAGED)
    return Header(width, count)
