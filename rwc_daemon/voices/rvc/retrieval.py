"""Retrieval: content features pulled towards the nearest ones that the voice was trained on (docs/rvc.md 5).

An index is a faiss file, `IVF…,Flat` or `Flat`, squared Euclidean distance. On the CPU faiss searches; on another
device the same search is done with torch on that device, so that no feature crosses the bus. Both find the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from rwc_daemon import extras
from rwc_daemon.errors import BadModel
from rwc_daemon.voices.rvc.feature_cache import rows_on

NEIGHBOURS = 8
PROTECT_OFF = 0.5
GATHERED = 1 << 24  # numbers fetched at once by the search in torch (64 MiB)


@dataclass(frozen=True)
class Nearest:
    """What a search found for n rows, nearest first."""

    squared: Tensor
    """f32[n, NEIGHBOURS]: squared distance."""
    ids: Tensor
    """i64[n, NEIGHBOURS]; -1: the list searched has no more."""
    vectors: Tensor
    """f32[n, NEIGHBOURS, width]; 0 where there is none."""


class Search(Protocol):
    def nearest(self, rows: Tensor) -> Nearest:
        """`rows`: f32[n, width]."""


class Index:
    """The vectors of one voice, ready to be searched."""

    def __init__(self, search: Search, width: int, size: int) -> None:
        self.search, self.width, self.size = search, width, size

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Index:
        """From a faiss file. Raises BadModel, MissingPackage."""
        faiss = _faiss()
        index = _read(faiss, path)
        search: Search = FaissSearch(faiss, index) if device == "cpu" else TorchSearch.of(faiss, index, device)
        return cls(search, index.d, index.ntotal)

    def mix(
        self, features: Tensor, rate: float, skip: int = 0, strict: bool = False, look: Look | None = None
    ) -> Tensor:
        """f[n, width] → the same, rows from `skip` on mixed: `rate` parts retrieved, 1 - `rate` as they were.

        Rows for which nothing is found stay. `strict` (live, as the reference does): if any row finds fewer than
        NEIGHBOURS, all stay. The search is done in float32 whatever the features are. `look`: instead of this one's.
        """
        rows = features[skip:].float()
        if rate == 0 or not len(rows):
            return features
        found = (look or self.look)(rows)
        if strict and bool((found.neighbours < NEIGHBOURS).any()):
            return features
        mixed = torch.where(found.neighbours == 0, rows, rate * found.blend + (1 - rate) * rows)
        return torch.cat([features[:skip], mixed.to(features.dtype)])

    def look(self, rows: Tensor) -> Retrieved:
        """`rows`: f32[n, width]."""
        nearest = self.search.nearest(rows)
        return Retrieved(_blend(nearest), (nearest.ids >= 0).sum(dim=1, keepdim=True))


class Retrieved(NamedTuple):
    """What an index has for n rows."""

    blend: Tensor
    """f32[n, width]: of the neighbours."""
    neighbours: Tensor
    """i64[n, 1]: how many, at most NEIGHBOURS."""

    def part(self, first: int, last: int) -> Retrieved:
        return Retrieved(self.blend[first:last], self.neighbours[first:last])

    def then(self, later: Retrieved) -> Retrieved:
        return Retrieved(*(torch.cat(pair) for pair in zip(self, later, strict=True)))


Look = Callable[[Tensor], Retrieved]


class RetrievalCache:
    """What was found for the rows of one live conversion, kept from block to block: a row that has been played is not
    looked up again, and so stays mixed as it was."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._found: Retrieved | None = None
        self._first = 0  # frame of the sound with which the first one begins

    def look(self, rows: Tensor, first: int, played: int) -> Retrieved:
        """f32[n, width], which begin with frame `first` of the sound; the first `played` of them are kept."""
        known = self._fitting(first, len(rows) - 1)  # one at least is new
        found = self._index.look(rows if known is None else rows[len(known.blend) :])
        found = found if known is None else known.then(found)
        self._found, self._first = found.part(0, played), first
        return found

    def _fitting(self, first: int, most: int) -> Retrieved | None:
        ahead = rows_on(self._first, first)
        if self._found is None or ahead is None:
            return None
        return self._found.part(ahead, ahead + most)


def _blend(found: Nearest) -> Tensor:
    """The neighbours' mean, weighted by the inverse square of the squared distance: f32[n, width].

    Weights are taken relative to the nearest, so that a distance of 0 means: that vector alone.
    """
    ratio = torch.where(found.squared <= found.squared[:, :1], 1, found.squared[:, :1] / found.squared)
    weight = torch.where(found.ids < 0, 0, ratio.square())
    weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.bmm(weight[:, None], found.vectors)[:, 0]


def protect(mixed: Tensor, raw: Tensor, f0_hz: Tensor | np.ndarray, share: float) -> Tensor:
    """Guards consonants: in unvoiced frames only `share` of what retrieval changed is kept; 0.5 switches it off.

    `mixed`, `raw`: f[T, width] per 10 ms frame; `f0_hz`: [T], before unvoiced gaps are filled.
    """
    if share >= PROTECT_OFF:
        return mixed
    unvoiced = torch.as_tensor(f0_hz, device=mixed.device)[:, None] < 1
    return torch.where(unvoiced, mixed * share + raw * (1 - share), mixed)


class FaissSearch:
    def __init__(self, faiss: Any, index: Any) -> None:
        self.faiss, self.index = faiss, index

    def nearest(self, rows: Tensor) -> Nearest:
        with _one_thread(self.faiss):
            found = self.index.search_and_reconstruct(np.ascontiguousarray(rows.cpu().numpy()), NEIGHBOURS)
        squared, ids, vectors = (torch.from_numpy(part).to(rows.device) for part in found)
        vectors[ids < 0] = 0
        return Nearest(squared, ids, vectors)


class TorchSearch:
    """The same on any device: an exact look into the lists whose centroids are nearest, or into all of a flat index."""

    def __init__(self, vectors: Tensor, ids: Tensor, centroids: Tensor, lists: Tensor, probes: int) -> None:
        """`vectors` [N, width] and `ids` [N], list after list; `centroids` [L, width]; `lists` [L, longest]: places in
        `vectors`, -1 beyond a list's end; L is 0 for a flat index."""
        self.vectors, self.ids, self.centroids, self.lists, self.probes = vectors, ids, centroids, lists, probes

    @classmethod
    def of(cls, faiss: Any, index: Any, device: str) -> TorchSearch:
        def there(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(device)

        N = index.ntotal
        if not isinstance(index, faiss.IndexIVFFlat):
            nothing = torch.zeros(0, 0, device=device)
            return cls(there(index.reconstruct_n(0, N)), there(np.arange(N)), nothing, nothing, probes=0)
        stored = [_list(faiss, index, n) for n in range(index.nlist)]
        sizes = np.array([len(ids) for ids, _ in stored])
        along = np.arange(sizes.max())[None]
        lists = np.where(along < sizes[:, None], (np.cumsum(sizes) - sizes)[:, None] + along, -1)
        ids, vectors = (np.concatenate(part) for part in zip(*stored, strict=True))
        centroids = index.quantizer.reconstruct_n(0, index.nlist)
        return cls(there(vectors), there(ids), there(centroids), there(lists), index.nprobe)

    def nearest(self, rows: Tensor) -> Nearest:
        if not len(self.lists):
            squared, place = _least(_distance(rows, self.vectors).square())
        else:
            probed = _distance(rows, self.centroids).topk(self.probes, largest=False).indices
            step = max(1, GATHERED // (self.probes * self.lists.shape[1] * rows.shape[1]))
            parts = [self._look(*part) for part in zip(rows.split(step), probed.split(step), strict=True)]
            squared, place = (torch.cat(part) for part in zip(*parts, strict=True))
        there = place >= 0
        vectors = torch.where(there[:, :, None], self.vectors[place], 0)
        return Nearest(squared, torch.where(there, self.ids[place], -1), vectors)

    def _look(self, rows: Tensor, probed: Tensor) -> tuple[Tensor, Tensor]:
        places = self.lists[probed].flatten(1)
        squared = (self.vectors[places] - rows[:, None]).square().sum(dim=2)
        squared, among = _least(torch.where(places < 0, torch.inf, squared))
        found = torch.where(among < 0, -1, places.gather(1, among.clamp(min=0)))
        return squared, found


def _distance(rows: Tensor, others: Tensor) -> Tensor:
    """f32[n, N], by differences: the expanded form with a product loses what tells near neighbours apart."""
    return torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist")


def _least(squared: Tensor) -> tuple[Tensor, Tensor]:
    """The NEIGHBOURS least of each row and where they are; inf and -1 for what is not there."""
    missing = max(0, NEIGHBOURS - squared.shape[1])
    least, place = torch.nn.functional.pad(squared, (0, missing), value=torch.inf).topk(NEIGHBOURS, largest=False)
    return least, torch.where(least.isinf(), -1, place)


def _list(faiss: Any, index: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids i64[m] and vectors f32[m, width] of one inverted list."""
    size = index.invlists.list_size(n)
    if not size:
        return np.zeros(0, np.int64), np.zeros((0, index.d), np.float32)
    ids = faiss.rev_swig_ptr(index.invlists.get_ids(n), size).copy()
    codes = faiss.rev_swig_ptr(index.invlists.get_codes(n), size * index.code_size).copy()
    return ids, codes.view(np.float32).reshape(size, index.d)


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """For some ten rows at a time waking threads costs more than it brings. Put back afterwards: faiss and torch may
    share one OpenMP, and torch would be left with one thread."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise extras.missing("faiss-cpu", "an index") from error
    return faiss


def _read(faiss: Any, path: Path) -> Any:
    try:
        index = faiss.read_index(str(path))
    except (RuntimeError, MemoryError) as error:
        raise BadModel(f"{path.name} is not a faiss index that can be read: import the voice's .index again") from error
    if type(index) not in (faiss.IndexIVFFlat, faiss.IndexFlatL2) or index.metric_type != faiss.METRIC_L2:
        raise BadModel(f"{path.name} is a {type(index).__name__}: an index of RVC is IVF-Flat or Flat, distance L2")
    if not index.ntotal:
        raise BadModel(f"{path.name} holds no vectors: take the file named added_….index, not trained_….index")
    return index
