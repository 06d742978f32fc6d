"""A FAISS index, judged from its own bytes before the library may touch it.

Layout: RVC engineering specification, appendix B (`IVFn,Flat` with its coarse quantizer, and plain `Flat`). Every count
is checked against the size of the file, so that a header cannot lie to the reader behind it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.tensors import read_at

WIDTHS = (256, 768)  # content features of v1 and v2
INVERTED, FLAT, L2 = b"IwFl", b"IxF2", 1
MOST_LISTS, MOST_VECTORS = 1 << 20, 1 << 24
CHUNK = 1 << 16  # vectors judged at once
DAMAGED = "the index is damaged or incomplete: get it again"


@dataclass(frozen=True)
class IndexInfo:
    """What an index is."""

    width: int
    # features per vector: 256 (v1) or 768 (v2)
    count: int
    # vectors
    lists: int
    # cells of the coarse quantizer; 0 for a flat index


def looks_like_index(head: bytes) -> bool:
    """Whether a file that starts so is some FAISS index."""
    return head[:2] in (b"Ix", b"Iw", b"IH", b"It") and head[:4].isalnum()


def read_index(file: BinaryIO) -> IndexInfo:
    """Reads and judges the whole index. Raises BadModel or Unsupported."""
    cursor = _Cursor(file)
    tag = cursor.take(4)
    if tag == INVERTED:
        info = _inverted(cursor)
    elif tag == FLAT:
        info = _flat(cursor, needed=True)
    else:
        raise Unsupported(
            f"an index of type '{tag.decode('latin-1')}' cannot be used: make an 'IVF…,Flat' one and import that"
        )
    if cursor.at != cursor.size:
        raise BadModel(DAMAGED)
    return info


class _Cursor:
    def __init__(self, file: BinaryIO) -> None:
        self.file, self.at = file, 0
        self.size = os.fstat(file.fileno()).st_size

    def take(self, length: int) -> bytes:
        if not 0 <= length <= self.size - self.at:
            raise BadModel(DAMAGED)
        self.at += length
        return read_at(self.file, self.at - length, length)

    def number(self, length: int = 8) -> int:
        return int.from_bytes(self.take(length), "little", signed=True)

    def numbers(self, count: int) -> np.ndarray:
        return np.frombuffer(self.take(8 * count), "<i8")

    def vectors(self, count: int, width: int) -> None:
        """Passes over float32 vectors, each of them finite."""
        for done in range(0, count, CHUNK):
            found = np.frombuffer(self.take(4 * width * min(CHUNK, count - done)), "<f4")
            if not np.isfinite(found).all():
                raise BadModel("the index holds values that are not numbers (NaN or infinity): make or get it again")


def _header(cursor: _Cursor) -> tuple[int, int]:
    """Width and count, after the checks that every index shares."""
    width, count = cursor.number(4), cursor.number()
    cursor.take(16)
    trained, metric = cursor.take(1), cursor.number(4)
    if metric != L2:
        raise Unsupported(f"an index of metric {metric} cannot be used: RVC makes plain L2 ones, import such a one")
    if width not in WIDTHS:
        raise BadModel(f"the index is {width} wide; RVC voices have 256 (v1) or 768 (v2): it belongs to something else")
    if trained != b"\1" or not 0 <= count <= MOST_VECTORS:
        raise BadModel(DAMAGED)
    return width, count


def _needed(count: int) -> None:
    if count == 0:
        raise BadModel("the index is empty (a 'trained_…' file has no vectors): import the 'added_….index' beside it")


def _flat(cursor: _Cursor, needed: bool) -> IndexInfo:
    width, count = _header(cursor)
    if needed:
        _needed(count)
    if cursor.number() != count * width:
        raise BadModel(DAMAGED)
    cursor.vectors(count, width)
    return IndexInfo(width, count, 0)


def _inverted(cursor: _Cursor) -> IndexInfo:
    width, count = _header(cursor)
    lists, probes = cursor.number(), cursor.number()
    if not 1 <= lists <= MOST_LISTS or not 1 <= probes <= lists:
        raise BadModel(DAMAGED)
    if cursor.take(4) != FLAT:
        raise Unsupported("the index has a coarse quantizer other than a flat one: make an 'IVF…,Flat' index")
    coarse = _flat(cursor, needed=False)
    if (coarse.width, coarse.count) != (width, lists):
        raise BadModel(DAMAGED)
    _needed(count)
    _direct_map(cursor)
    sizes = _list_sizes(cursor, lists, width)
    if int(sizes.sum()) != count:
        raise BadModel(DAMAGED)
    _list_data(cursor, sizes, width, count)
    return IndexInfo(width, count, lists)


def _direct_map(cursor: _Cursor) -> None:
    if cursor.take(1) != b"\0":
        raise Unsupported("the index carries a direct map: write it without one")
    cursor.numbers(cursor.number())


def _list_sizes(cursor: _Cursor, lists: int, width: int) -> np.ndarray:
    if cursor.take(4) != b"ilar" or cursor.number() != lists or cursor.number() != 4 * width:
        raise BadModel(DAMAGED)
    form, count = cursor.take(4), cursor.number()
    if form == b"full" and count == lists:
        sizes = cursor.numbers(count)
    elif form == b"sprs" and count % 2 == 0 and 0 <= count <= 2 * lists:
        pairs = cursor.numbers(count).reshape(-1, 2)
        if np.any(np.diff(pairs[:, 0]) <= 0) or np.any(pairs[:, 0] < 0) or np.any(pairs[:, 0] >= lists):
            raise BadModel(DAMAGED)
        sizes = pairs[:, 1]
    else:
        raise BadModel(DAMAGED)
    if np.any(sizes < 0) or np.any(sizes > MOST_VECTORS):
        raise BadModel(DAMAGED)
    return sizes


def _list_data(cursor: _Cursor, sizes: np.ndarray, width: int, count: int) -> None:
    seen = np.zeros(count, bool)
    for size in sizes[sizes > 0].tolist():
        cursor.vectors(size, width)
        ids = cursor.numbers(size)
        if ids.min() < 0 or ids.max() >= count or seen[ids].any() or len(np.unique(ids)) != size:
            raise BadModel(DAMAGED)
        seen[ids] = True
