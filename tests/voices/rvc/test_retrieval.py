"""Retrieval against the reference's figures and against a plain search written here."""

from pathlib import Path

import faiss
import numpy as np
import pytest
import torch

from rwc_daemon.errors import BadModel
from rwc_daemon.voices.rvc.retrieval import NEIGHBOURS, FaissSearch, Index, RetrievalCache, TorchSearch, protect

GOLDEN = Path(__file__).parents[2] / "golden"
WANT = dict(np.load(GOLDEN / "retrieval_sparse.npz"))
HUBERT = torch.from_numpy(WANT["hubert"])


def vectors(count, width, seed=0):
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def made(kind, width, count=400):
    """A faiss index as RVC makes them."""
    flat = faiss.IndexFlatL2(width)
    index = faiss.IndexIVFFlat(flat, width, 8) if kind == "ivf" else flat
    if kind == "ivf":
        index.train(vectors(count, width))
    index.add(vectors(count, width))
    return index


def on_torch(index):
    return Index(TorchSearch.of(faiss, index, "cpu"), index.d, index.ntotal)


def on_faiss(index):
    return Index(FaissSearch(faiss, index), index.d, index.ntotal)


@pytest.fixture(params=[on_faiss, on_torch], ids=["faiss", "torch"])
def engine(request):
    return request.param


@pytest.fixture
def sparse(engine):
    return engine(faiss.read_index(str(GOLDEN / "index_v1_sparse.index")))


def test_golden_neighbours(sparse):
    found = sparse.search.nearest(HUBERT)
    there = WANT["search_ids"] >= 0
    assert np.array_equal(found.ids, WANT["search_ids"])
    assert np.allclose(found.squared[there], WANT["search_scores"][there], rtol=1e-5)


@pytest.mark.parametrize(("rate", "skip"), [("1", 0), ("0.3", 80)])
def test_golden_live(sparse, rate, skip):
    rows = torch.cat([HUBERT, HUBERT[-1:]])
    mixed = sparse.mix(rows, float(rate), skip // 2, strict=True).repeat_interleave(2, 0)[: WANT["p_len"]]
    assert np.allclose(mixed, WANT[f"phone_rate{rate}_skip{skip}"], atol=1e-5)


@pytest.mark.parametrize("share", ["0", "0.33", "0.5"])
def test_golden_offline_with_protection(sparse, share):
    T = int(WANT["offline_len"][0])
    mixed = sparse.mix(HUBERT, float(WANT["offline_index_rate"]))
    mixed, raw = (rows.repeat_interleave(2, 0)[:T] for rows in (mixed, HUBERT))
    kept = protect(mixed, raw, WANT["offline_pitchf"][:T], float(share))
    assert np.allclose(kept, WANT[f"offline_phone_protect{share}"], atol=1e-5)


@pytest.mark.parametrize("kind", ["ivf", "flat"])
@pytest.mark.parametrize("width", [256, 768])
def test_mix_is_the_formula(engine, kind, width):
    index = made(kind, width)
    if kind == "ivf":
        index.nprobe = 8
    rows = vectors(12, width, seed=1)
    squared = ((rows[:, None] - vectors(400, width)[None]) ** 2).sum(axis=2)
    ids = squared.argsort(axis=1)[:, :NEIGHBOURS]
    weight = 1 / np.take_along_axis(squared, ids, axis=1) ** 2
    retrieved = (weight[:, :, None] / weight.sum(axis=1)[:, None, None] * vectors(400, width)[ids]).sum(axis=1)
    want = np.concatenate([rows[:4], 0.6 * retrieved[4:] + 0.4 * rows[4:]])
    assert np.allclose(engine(index).mix(torch.from_numpy(rows), 0.6, skip=4, strict=True), want, atol=1e-5)


def test_a_stored_vector_finds_itself(engine):
    known = torch.from_numpy(vectors(400, 256)[[3, 77]])
    assert torch.equal(engine(made("ivf", 256)).mix(known, 1.0), known)


def test_missing_neighbours_weigh_nothing_and_with_none_the_row_stays(engine):
    few = engine(made("flat", 256, count=3))
    rows = torch.from_numpy(vectors(5, 256, seed=2))
    assert (few.search.nearest(rows).ids[:, 3:] == -1).all()
    assert torch.isfinite(few.mix(rows, 1.0)).all()
    assert not torch.allclose(few.mix(rows, 1.0), rows)
    assert torch.equal(few.mix(rows, 1.0, strict=True), rows)
    index = made("ivf", 256)
    index.invlists.resize(0, 0)
    lost = torch.from_numpy(index.quantizer.reconstruct_n(0, 1))
    assert torch.equal(engine(index).mix(lost, 1.0), lost)


class Counting:
    """A search that knows how many rows it was asked for."""

    def __init__(self, search):
        self.search, self.rows = search, []

    def nearest(self, rows):
        self.rows.append(len(rows))
        return self.search.nearest(rows)


def test_rows_that_were_played_are_not_searched_again(engine):
    index, sound = engine(made("ivf", 256)), torch.from_numpy(vectors(40, 256, seed=3))
    index.search = Counting(index.search)
    kept = RetrievalCache(index)
    for first in range(0, 24, 4):  # 8 rows of context, 4 of the block, 3 behind it
        found, whole = kept.look(sound[first : first + 15], 2 * first, played=12), index.look(sound[first : first + 15])
        assert torch.equal(found.neighbours, whole.neighbours)
        assert torch.allclose(found.blend, whole.blend, atol=1e-5)
    assert index.search.rows[::2] == [15, 7, 7, 7, 7, 7]


@pytest.mark.parametrize("frame", [-2, 7, 24, 400])
def test_rows_of_other_moments_are_searched(engine, frame):
    """Earlier ones, such as begin between two that are kept, and those after a pause."""
    index, sound = engine(made("flat", 256)), torch.from_numpy(vectors(30, 256, seed=3))
    index.search = Counting(index.search)
    kept = RetrievalCache(index)
    kept.look(sound[:15], 0, played=12)
    found = kept.look(sound[15:], frame, played=12)
    assert torch.equal(found.blend, index.look(sound[15:]).blend)
    assert index.search.rows[1] == 15


def test_half_features_stay_half(engine):
    rows = torch.from_numpy(vectors(5, 256, seed=2)).half()
    assert engine(made("ivf", 256)).mix(rows, 0.5).dtype == torch.float16


def test_faiss_leaves_the_threads_of_torch_alone():
    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    on_faiss(made("ivf", 256)).mix(torch.from_numpy(vectors(50, 256)), 0.5)
    assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == before


def written(tmp_path, index):
    path = tmp_path / "voice.index"
    faiss.write_index(index, str(path))
    return path


def test_load(tmp_path):
    index = Index.load(written(tmp_path, made("flat", 768)))
    assert (index.width, index.size) == (768, 400)


def test_an_index_without_vectors_says_which_to_take(tmp_path):
    index = made("ivf", 256)
    index.reset()
    with pytest.raises(BadModel, match=r"added_….index, not trained_….index"):
        Index.load(written(tmp_path, index))


def test_what_is_no_index_of_rvc_is_refused(tmp_path):
    path = tmp_path / "page.index"
    for content in (b"<html>", b"", (GOLDEN / "index_v1_sparse.index").read_bytes()[:5000]):
        path.write_bytes(content)
        with pytest.raises(BadModel, match="not a faiss index"):
            Index.load(path)
    with pytest.raises(BadModel, match="IndexFlatIP"):
        Index.load(written(tmp_path, faiss.IndexFlatIP(256)))
