"""Writes any index that can be read in the two forms that a voice is kept with: `IVF…,Flat` or `Flat`, float32.

So the live voice knows two forms only, and faiss reads only what was written here (or what RVC itself would have
written and was judged byte by byte). A long row of vectors gets cells, as RVC would have made them: searched one by
one, 100,000 vectors take longer than a block lasts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rwc_daemon.store.faiss_cursor import L2
from rwc_daemon.store.faiss_file import Vectors
from rwc_daemon.store.tensors import Progress

UNUSED = 1 << 20  # what faiss writes into the two unused fields
MOST_IN_A_ROW = 8192  # vectors that are searched one by one
SAMPLES, ROUNDS = 16, 4  # vectors per cell that the centroids are found from; rounds of k-means
ROWS = 2048  # compared with all centroids at once: bounds the memory


def write_index(found: Vectors, path: Path, progress: Progress) -> None:
    """The whole index into a new file. Raises BadModel where a vector is no number, OSError where the disk is full."""
    done = 0
    with path.open("xb") as out:
        for part, vectors in _pieces(found, out):
            out.write(part)
            done += vectors
            progress(min(1.0, done / found.info.count))


def _pieces(found: Vectors, out: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The bytes of the file, and how many vectors are in each piece."""
    info = found.info
    if not info.lists and info.count <= MOST_IN_A_ROW:
        yield _head(b"IxF2", info.width, info.count) + struct.pack("<Q", info.count * info.width), 0
        for part in found.read(0):
            yield part.tobytes(), len(part)
        return
    centroids, members = (found.centroids, None) if info.lists else cells(found)
    sizes = [run.count for run in found.runs] if members is None else [len(one) for one in members]
    yield _cells_head(info.width, info.count, centroids, found.probes, sizes), 0
    for cell, size in enumerate(sizes):
        if not size:
            continue
        if members is None:
            for part in found.read(cell):
                yield part.tobytes(), len(part)
            ids = found.runs[cell].ids
        else:
            ids = members[cell]
            yield b"".join(found.rows(0, int(place), 1).tobytes() for place in ids), size
        assert ids is not None
        yield ids.astype("<i8").tobytes(), 0


def _head(tag: bytes, width: int, count: int) -> bytes:
    return tag + struct.pack("<iqqq?i", width, count, UNUSED, UNUSED, True, L2)


def _cells_head(width: int, count: int, centroids: np.ndarray, probes: int, sizes: list[int]) -> bytes:
    lists = len(sizes)
    coarse = _head(b"IxF2", width, lists) + struct.pack("<Q", lists * width) + centroids.astype("<f4").tobytes()
    head = _head(b"IwFl", width, count) + struct.pack("<QQ", lists, probes) + coarse
    head += struct.pack("<BQ", 0, 0)  # no direct map
    head += b"ilar" + struct.pack("<QQ", lists, 4 * width) + b"full" + struct.pack("<Q", lists)
    return head + struct.pack(f"<{lists}Q", *sizes)


def cells(found: Vectors) -> tuple[np.ndarray, list[np.ndarray]]:
    """Centroids f32[lists, width] by k-means on a sample, and the places of the vectors of each cell."""
    count = found.info.count
    lists = 4 * int(count**0.5)
    chance = np.random.default_rng(0)  # the same file gives the same cells
    sample = np.sort(chance.choice(count, min(count, SAMPLES * lists), replace=False))
    known = np.concatenate([found.rows(0, int(place), 1) for place in sample])
    centroids = known[chance.choice(len(known), lists, replace=False)]
    for _ in range(ROUNDS):
        nearest = _nearest(known, centroids)
        order = np.argsort(nearest, kind="stable")
        filled, starts = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(known[order], starts, axis=0)
        centroids = centroids.copy()
        centroids[filled] = sums / np.diff([*starts, len(known)])[:, None]
    where = np.concatenate([_nearest(part, centroids) for part in found.read(0)])
    order = np.argsort(where, kind="stable")
    return centroids, np.split(order, np.searchsorted(where[order], np.arange(1, lists)))


def _nearest(rows: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """i64[n]: the centroid nearest to each row."""
    half = (centroids**2).sum(axis=1) / 2
    parts = [np.argmin(half - rows[at : at + ROWS] @ centroids.T, axis=1) for at in range(0, len(rows), ROWS)]
    return np.concatenate(parts)
