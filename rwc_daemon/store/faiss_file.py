"""A FAISS index, read from its own bytes; the library never sees a stranger's file.

Layout: RVC engineering specification, appendix B, and faiss's `index_write.cpp` for the other kinds. What is read:
vectors in cells (`IwFl`, `IwSq`, `IwPQ`) with any flat coarse quantizer, vectors in a row (`IxF2`, `IxSQ`), and the
same below a graph (`IHNf`, `IHNs`), below names (`IxMp`, `IxM2`) or below a coarser index (`IxRF`). Every count is
checked against the size of the file, so that a header cannot lie to the reader behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.faiss_codes import DAMAGED, Codec, flat, product, scalar
from rwc_daemon.store.faiss_cursor import MOST_VECTORS, Cursor, Header, header
from rwc_daemon.store.tensors import read_at

MOST_LISTS, MOST_NESTED = 1 << 20, 3
CHUNK = 1 << 14  # vectors decoded at once
NO_MAP, ARRAY_MAP, TABLE_MAP = 0, 1, 2
HELP = "ask its author for an 'IVF…,Flat' index"
NAN = "the index holds values that are not numbers (NaN or infinity): make or get it again"


@dataclass(frozen=True)
class IndexInfo:
    """What an index is."""

    width: int
    """Features per vector: 256 (v1) or 768 (v2)."""
    count: int
    """Vectors."""
    lists: int
    """Cells of the coarse quantizer; 0 for a flat index."""
    kind: str = "Flat"
    """As faiss's factory says it."""


@dataclass(frozen=True)
class Run:
    """Vectors that stand one behind the other in the file; in an index with cells, those of one cell."""

    at: int
    """First byte."""
    count: int
    ids: np.ndarray | None = None
    """i64[count]; None: their places."""


@dataclass(frozen=True)
class Vectors:
    """An index, taken apart."""

    file: BinaryIO
    info: IndexInfo
    codec: Codec
    runs: list[Run]
    probes: int = 1
    """Cells that are searched."""
    centroids: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), "<f4"))
    """f32[lists, width]."""
    residual: bool = False
    """The vectors are written as differences from their cell's centroid."""
    plain: bool = False
    """The file is as RVC writes it, and the library may have it as it is."""

    def read(self, run: int) -> Iterator[np.ndarray]:
        """The vectors of a run, f32[n, width] at a time. Raises BadModel where they are no numbers."""
        place = self.runs[run]
        for done in range(0, place.count, CHUNK):
            yield self.rows(run, done, min(CHUNK, place.count - done))

    def rows(self, run: int, first: int, count: int) -> np.ndarray:
        """f32[count, width] from the vector `first` of a run on. Raises BadModel where they are no numbers."""
        size = self.codec.size
        found = self.codec.decode(read_at(self.file, self.runs[run].at + first * size, count * size))
        if self.residual:
            found = found + self.centroids[run]
        if not np.isfinite(found).all():
            raise BadModel(NAN)
        return np.ascontiguousarray(found, "<f4")

    def judge(self) -> None:
        """Reads every vector. Raises BadModel where one is no number."""
        for run in range(len(self.runs)):
            for _ in self.read(run):
                pass


def looks_like_index(head: bytes) -> bool:
    """Whether a file that starts so is some FAISS index."""
    return head[:2] in (b"Ix", b"Iw", b"IH", b"It", b"IN", b"Iv", b"Ib") and head[:4].isalnum()


def read_index(file: BinaryIO) -> Vectors:
    """The structure of an index, all of it checked; its vectors are read when asked for.

    Raises BadModel or Unsupported.
    """
    cursor = Cursor(file)
    try:
        found = _index(cursor, 0)
    except Unsupported as error:
        raise Unsupported(f"{error}: {HELP}") from None
    if found.info.count == 0:
        raise BadModel("the index is empty (a 'trained_…' file has no vectors): import the 'added_….index' beside it")
    if cursor.at != cursor.size:
        raise BadModel(DAMAGED)
    return found


def _index(cursor: Cursor, depth: int) -> Vectors:
    tag = cursor.take(4).decode("latin-1")
    reader = _READERS.get(tag)
    if reader is None or depth > MOST_NESTED:
        raise Unsupported(f"an index of the kind '{tag}' cannot be read")
    return reader(cursor, header(cursor), depth)


# -- vectors in a row --------------------------------------------------------------------------------------------------


def _flat(cursor: Cursor, head: Header, _: int) -> Vectors:
    if cursor.number() != head.count * head.width:
        raise BadModel(DAMAGED)
    return replace(_row(cursor, head, flat(head.width)), plain=True)


def _flat_quantised(cursor: Cursor, head: Header, _: int) -> Vectors:
    codec = _scalar(cursor, head)
    if cursor.number() != head.count * codec.size:
        raise BadModel(DAMAGED)
    return _row(cursor, head, codec)


def _row(cursor: Cursor, head: Header, codec: Codec) -> Vectors:
    run = Run(cursor.skip(head.count * codec.size), head.count)
    return Vectors(cursor.file, IndexInfo(head.width, head.count, 0, codec.name), codec, [run])


def _scalar(cursor: Cursor, head: Header) -> Codec:
    kind = cursor.number(4)
    cursor.take(8)  # how the ranges were found
    width, size = cursor.number(), cursor.number()
    if width != head.width:
        raise BadModel(DAMAGED)
    return scalar(kind, width, size, cursor.floats())


# -- vectors below something else --------------------------------------------------------------------------------------


def _graph(cursor: Cursor, head: Header, depth: int) -> Vectors:
    """HNSW: the graph is passed over; it only helps to search the vectors behind it."""
    for size in (8, 4, 4, 8, 4):  # chances of levels, neighbours of levels, levels, offsets, neighbours
        cursor.skip(size * cursor.number())
    cursor.skip(5 * 4)  # entry, highest level, three efforts
    return _inner(cursor, head, depth, "HNSW")


def _named(cursor: Cursor, head: Header, depth: int) -> Vectors:
    """An ID map: the names are passed over, RVC asks for places."""
    found = _inner(cursor, head, depth, "IDMap")
    if cursor.number() != head.count:
        raise BadModel(DAMAGED)
    cursor.skip(8 * head.count)
    return found


def _refined(cursor: Cursor, head: Header, depth: int) -> Vectors:
    """A coarse index and, behind it, the exact vectors."""
    _inner(cursor, head, depth, "")
    found = _inner(cursor, head, depth, "Refine")
    cursor.skip(4)
    if found.info.lists:
        raise Unsupported("an index that is refined by cells cannot be read")
    return found


def _inner(cursor: Cursor, head: Header, depth: int, name: str) -> Vectors:
    found = _index(cursor, depth + 1)
    if (found.info.width, found.info.count) != (head.width, head.count):
        raise BadModel(DAMAGED)
    return replace(found, info=replace(found.info, kind=f"{name},{found.info.kind}"), plain=False)


# -- vectors in cells --------------------------------------------------------------------------------------------------


def _cells(cursor: Cursor, head: Header, depth: int) -> Vectors:
    cells = _Cells.read(cursor, head, depth)
    return cells.filled(cursor, head, flat(head.width), residual=False)


def _cells_quantised(cursor: Cursor, head: Header, depth: int) -> Vectors:
    cells = _Cells.read(cursor, head, depth)
    codec = _scalar(cursor, head)
    if cursor.number() != codec.size:
        raise BadModel(DAMAGED)
    return cells.filled(cursor, head, codec, residual=_truth(cursor))


def _cells_of_codes(cursor: Cursor, head: Header, depth: int) -> Vectors:
    cells = _Cells.read(cursor, head, depth)
    residual, size = _truth(cursor), cursor.number()
    width, parts, bits = cursor.number(), cursor.number(), cursor.number()
    codec = product(width, parts, bits, cursor.floats())
    if (codec.size, width) != (size, head.width):
        raise BadModel(DAMAGED)
    return cells.filled(cursor, head, codec, residual)


def _truth(cursor: Cursor) -> bool:
    said = cursor.take(1)
    if said not in (b"\0", b"\1"):
        raise BadModel(DAMAGED)
    return said == b"\1"


@dataclass(frozen=True)
class _Cells:
    """What an index with cells says before its vectors."""

    probes: int
    centroids: np.ndarray
    plain: bool

    @classmethod
    def read(cls, cursor: Cursor, head: Header, depth: int) -> _Cells:
        lists, probes = cursor.number(), cursor.number()
        if not 1 <= lists <= MOST_LISTS or not 1 <= probes <= lists:
            raise BadModel(DAMAGED)
        coarse = _index(cursor, depth + 1)
        if coarse.info.lists:
            raise Unsupported("an index whose coarse quantizer has cells itself cannot be read")
        if (coarse.info.width, coarse.info.count) != (head.width, lists):
            raise BadModel(DAMAGED)
        centroids = np.concatenate(list(coarse.read(0)))
        mapped = _pass_direct_map(cursor, head.count)
        return cls(probes, centroids, coarse.plain and not mapped)

    def filled(self, cursor: Cursor, head: Header, codec: Codec, residual: bool) -> Vectors:
        sizes = _list_sizes(cursor, len(self.centroids), codec.size)
        if int(sizes.sum()) != head.count:
            raise BadModel(DAMAGED)
        runs = []
        for size in sizes.tolist():
            at = cursor.skip(size * codec.size)
            runs.append(Run(at, size, cursor.numbers(size)))
        runs, moved = _numbered(runs, head.count)
        return Vectors(
            cursor.file, IndexInfo(head.width, head.count, len(sizes), f"IVF{len(sizes)},{codec.name}"), codec, runs,
            self.probes, self.centroids, residual, self.plain and codec.name == "Flat" and not moved,
        )  # fmt: skip


def _pass_direct_map(cursor: Cursor, count: int) -> bool:
    """Where each vector lies; the cells say it as well. Whether there was such a map."""
    kind, entries = cursor.number(1), cursor.number()
    if kind not in (NO_MAP, ARRAY_MAP, TABLE_MAP) or not 0 <= entries <= max(count, MOST_VECTORS):
        raise BadModel(DAMAGED)
    cursor.skip(8 * entries)
    if kind == TABLE_MAP:
        cursor.skip(16 * cursor.number())
    return kind != NO_MAP or entries > 0


def _list_sizes(cursor: Cursor, lists: int, code_size: int) -> np.ndarray:
    form = cursor.take(4)
    if form != b"ilar":
        raise Unsupported(f"an index whose lists are kept as '{form.decode('latin-1')}' cannot be read")
    if cursor.number() != lists or cursor.number() != code_size:
        raise BadModel(DAMAGED)
    form, count = cursor.take(4), cursor.number()
    sizes = np.zeros(lists, np.int64)
    if form == b"full" and count == lists:
        sizes = cursor.numbers(count)
    elif form == b"sprs" and count % 2 == 0 and 0 <= count <= 2 * lists:
        pairs = cursor.numbers(count).reshape(-1, 2)
        if np.any(np.diff(pairs[:, 0]) <= 0) or np.any(pairs[:, 0] < 0) or np.any(pairs[:, 0] >= lists):
            raise BadModel(DAMAGED)
        sizes[pairs[:, 0]] = pairs[:, 1]
    else:
        raise BadModel(DAMAGED)
    if np.any(sizes < 0) or np.any(sizes > MOST_VECTORS):
        raise BadModel(DAMAGED)
    return sizes


def _numbered(runs: list[Run], count: int) -> tuple[list[Run], bool]:
    """The runs with places 0 … count - 1 as ids; vectors that were removed or named by hand leave gaps."""
    named = np.concatenate([run.ids for run in runs if run.ids is not None])
    order = np.unique(named)
    if len(order) != count or (count and order[0] < 0):
        raise BadModel(DAMAGED)
    if not count or order[-1] == count - 1:
        return runs, False
    places = np.split(np.searchsorted(order, named), np.cumsum([run.count for run in runs])[:-1])
    return [replace(run, ids=ids) for run, ids in zip(runs, places, strict=True)], True


_READERS: dict[str, Callable[[Cursor, Header, int], Vectors]] = {
    "IxF2": _flat,
    "IxSQ": _flat_quantised,
    "IHNf": _graph,
    "IHNs": _graph,
    "IxMp": _named,
    "IxM2": _named,
    "IxRF": _refined,
    "IwFl": _cells,
    "IwSq": _cells_quantised,
    "IwPQ": _cells_of_codes,
}
