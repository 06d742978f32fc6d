"""Kinds of faiss index: read by ours and written again as the two that voices are kept with, against faiss itself."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from rwc_daemon.errors import BadModel, RwcError, Unsupported
from rwc_daemon.store.adopt import adopt_index
from rwc_daemon.store.faiss_file import IndexInfo
from rwc_daemon.store.voices import VoiceStore
from rwc_daemon.voices.rvc.retrieval import Index
from testkit.makers import make_index

COUNT = 60


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine faiss's threads wait for each other longer than they compute."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


def features(width: int = 768, count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, width)).astype("f4")


def made(recipe: str, width: int = 768, names: np.ndarray | None = None, count: int = COUNT) -> Any:
    index = faiss.index_factory(width, recipe)
    if hasattr(index, "cp"):
        index.cp.min_points_per_centroid = 1
    vectors = features(width, count)
    index.train(vectors)
    index.add(vectors) if names is None else index.add_with_ids(vectors, names)
    return index


def written(index: Any, path: Path) -> Path:
    faiss.write_index(index, str(path))
    return path


def adopted(path: Path, npy: bool = False) -> tuple[IndexInfo, Any]:
    out = path.with_suffix(".out")
    with path.open("rb") as file:
        info = adopt_index(file, out, lambda share: None, npy)
    Index.load(out)  # the live voice takes it
    return info, faiss.read_index(str(out))


def vectors_of(index: Any) -> np.ndarray:
    if isinstance(index, faiss.IndexIVF):
        index.make_direct_map()
    return index.reconstruct_n(0, index.ntotal)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        ("IVF4,SQ8", "IVF4,SQ8"),
        ("IVF4,SQ6", "IVF4,SQ6"),
        ("IVF4,SQ4", "IVF4,SQ4"),
        ("IVF4,SQfp16", "IVF4,SQfp16"),
        ("IVF4,SQbf16", "IVF4,SQbf16"),
        ("SQ8", "SQ8"),
        ("SQ6", "SQ6"),
        ("SQ4", "SQ4"),
        ("SQfp16", "SQfp16"),
        ("SQbf16", "SQbf16"),
        ("HNSW16", "HNSW,Flat"),
        ("HNSW16,SQ8", "HNSW,SQ8"),
        ("IVF4_HNSW8,Flat", "IVF4,Flat"),
    ],
)
@pytest.mark.parametrize("width", [256, 768])
def test_the_vectors_are_those_of_faiss(recipe: str, kind: str, width: int, tmp_path: Path) -> None:
    theirs = made(recipe, width)
    info, ours = adopted(written(theirs, tmp_path / "x.index"))
    assert info == IndexInfo(width, COUNT, 4 if "IVF" in recipe else 0, kind)
    assert type(ours) in (faiss.IndexIVFFlat, faiss.IndexFlatL2)
    assert np.abs(vectors_of(ours) - vectors_of(theirs)).max() < 1e-6
    asked = features(width)[:8] + np.float32(0.1)
    if "HNSW16" not in recipe and "bf16" not in recipe:  # those two of faiss search only nearly
        assert np.array_equal(ours.search(asked, 3)[1], theirs.search(asked, 3)[1])


@pytest.mark.parametrize(
    "kind", ["QT_8bit_uniform", "QT_4bit_uniform", "QT_8bit_direct", "QT_8bit_direct_signed", "QT_6bit"]
)
def test_every_scalar_quantiser(kind: str, tmp_path: Path) -> None:
    number = getattr(faiss.ScalarQuantizer, kind)
    theirs = faiss.IndexScalarQuantizer(256, number)
    vectors = features(256) * 20 + (60 if kind == "QT_8bit_direct" else 0)
    theirs.train(vectors)
    theirs.add(vectors)
    _, ours = adopted(written(theirs, tmp_path / "x.index"))
    assert np.abs(vectors_of(ours) - vectors_of(theirs)).max() < 1e-4


# np: without the training that only some searches need and that takes half a minute
@pytest.mark.parametrize("recipe", ["IVF4,SQ8", "IVF4,PQ8np"])
def test_cells_without_differences_and_codebooks(recipe: str, tmp_path: Path) -> None:
    theirs = made(recipe, 256, count=300)
    _, ours = adopted(written(theirs, tmp_path / "x.index"))
    assert np.abs(vectors_of(ours) - vectors_of(theirs)).max() < 1e-6
    plain = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatL2(256), 256, 4, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_L2, False
    )
    plain.train(features(256))
    plain.add(features(256))
    _, ours = adopted(written(plain, tmp_path / "y.index"))
    assert np.abs(vectors_of(ours) - vectors_of(plain)).max() < 1e-6


@pytest.mark.parametrize("table", [False, True])
def test_a_direct_map_is_passed_over(table: bool, tmp_path: Path) -> None:
    theirs = made("IVF4,Flat")
    theirs.set_direct_map_type(faiss.DirectMap.Hashtable if table else faiss.DirectMap.Array)
    info, ours = adopted(written(theirs, tmp_path / "x.index"))
    assert info.kind == "IVF4,Flat"
    assert np.array_equal(vectors_of(ours), features())


@pytest.mark.parametrize("recipe", ["IDMap,Flat", "IDMap2,Flat", "IDMap,IVF4,Flat", "IDMap,IVF4,SQfp16", "IDMap,HNSW8"])
def test_names_give_way_to_places(recipe: str, tmp_path: Path) -> None:
    names = np.arange(COUNT)[::-1] * 7 + (1 << 40)
    info, ours = adopted(written(made(recipe, names=names), tmp_path / "x.index"))
    assert info.count == COUNT
    assert np.abs(vectors_of(ours) - features()).max() < 1e-2


def test_vectors_that_were_removed_or_named_by_hand_leave_no_gaps(tmp_path: Path) -> None:
    theirs = made("IVF4,Flat")
    theirs.remove_ids(np.array([0, 17, 59]))
    info, ours = adopted(written(theirs, tmp_path / "x.index"))
    assert info.count == COUNT - 3
    assert np.array_equal(vectors_of(ours), np.delete(features(), [0, 17, 59], axis=0))


@pytest.mark.parametrize("recipe", ["IVF4,Flat,RFlat", "IVF4,SQ8,RFlat", "SQ4,RFlat"])
def test_exact_vectors_behind_a_coarse_index(recipe: str, tmp_path: Path) -> None:
    _, ours = adopted(written(made(recipe), tmp_path / "x.index"))
    assert np.array_equal(vectors_of(ours), features())


@pytest.mark.parametrize("kind", ["<f4", "<f2", "<f8"])
def test_the_features_that_training_leaves(kind: str, tmp_path: Path) -> None:
    np.save(tmp_path / "total_fea.npy", features().astype(kind))
    shutil.move(tmp_path / "total_fea.npy", tmp_path / "added.index")
    info, ours = adopted(tmp_path / "added.index", npy=True)
    assert info == IndexInfo(768, COUNT, 0, "npy")
    assert np.array_equal(vectors_of(ours), features().astype(kind).astype("f4"))


@pytest.mark.parametrize("recipe", ["HNSW4", "npy"])
def test_a_long_row_gets_cells(recipe: str, tmp_path: Path) -> None:
    rows = features(256, 9000)
    rows[4500:] += 8  # two crowds
    if recipe == "npy":
        np.save(tmp_path / "x.npy", rows)
    else:
        index = faiss.index_factory(256, recipe)
        index.hnsw.efConstruction = 4
        index.add(rows)
        written(index, tmp_path / "x.npy")
    _, ours = adopted(tmp_path / "x.npy", npy=recipe == "npy")
    assert isinstance(ours, faiss.IndexIVFFlat)
    assert ours.nlist == 376
    assert np.array_equal(vectors_of(ours), rows)
    found = ours.search(rows[::500], 1)[1][:, 0]
    assert np.array_equal(found, np.arange(0, 9000, 500))
    sizes = np.array([ours.invlists.list_size(cell) for cell in range(ours.nlist)])
    assert sizes.max() < 400


@pytest.mark.parametrize(
    ("recipe", "tag"), [("L2norm,Flat", "IxPT"), ("LSH", "IxHe"), ("IVF4,FlatDedup", "IwFd"), ("IVF4,PQ8x4fs", "IwPf")]
)
def test_other_kinds_are_named(recipe: str, tag: str, tmp_path: Path) -> None:
    path = written(made(recipe, 256), tmp_path / "x.index")
    with pytest.raises(Unsupported, match=rf"kind '{tag}' cannot be read: ask its author for an 'IVF…,Flat'"):
        adopted(path)
    assert not path.with_suffix(".out").exists()


def damaged(path: Path, at: int, data: bytes) -> Path:
    spoiled = bytearray(path.read_bytes())
    spoiled[at : at + len(data)] = data
    path.write_bytes(spoiled)
    return path


@pytest.mark.parametrize("recipe", ["IVF4,SQ8", "SQfp16", "HNSW16", "IDMap,Flat"])
def test_damage_is_found(recipe: str, tmp_path: Path) -> None:
    good = written(made(recipe, 256, np.arange(COUNT) if "IDMap" in recipe else None), tmp_path / "good.index")
    whole = good.read_bytes()
    for cut in (5, 36, 60, len(whole) // 2, len(whole) - 1):
        path = tmp_path / "cut.index"
        path.write_bytes(whole[:cut])
        with pytest.raises(BadModel):
            adopted(path)
    path = tmp_path / "more.index"
    path.write_bytes(whole + b"x")
    with pytest.raises(BadModel, match="damaged"):
        adopted(path)


def test_numbers_that_are_none_leave_nothing_behind(tmp_path: Path) -> None:
    path = damaged(written(made("SQfp16", 256), tmp_path / "x.index"), -2 % (1 << 20), b"")
    whole = bytearray(path.read_bytes())
    whole[-2:] = np.float16(np.nan).tobytes()
    path.write_bytes(whole)
    with pytest.raises(BadModel, match="not numbers"):
        adopted(path)
    assert not path.with_suffix(".out").exists()


# -- through the store ------------------------------------------------------------------------------------------------


def test_a_voice_takes_what_can_be_read(anna: Path, tmp_path: Path, store: VoiceStore) -> None:
    (card,) = store.bring_in([anna, written(made("IVF4,SQ8"), tmp_path / "anna.index")])
    assert (card.vectors, card.notes) == (COUNT, ())
    np.save(tmp_path / "total_fea.npy", features()[:40])
    (card,) = store.bring_in([tmp_path / "total_fea.npy", anna])  # features alone, named
    assert (card.id, card.vectors) == ("anna", 40)
    assert Index.load(card.index or Path()).size == 40


def unusable(path: Path, way: str) -> tuple[Path, str, type[RwcError]]:
    if way == "kind":
        return written(made("L2norm,Flat"), path), "IxPT", Unsupported
    if way == "empty":
        shutil.copy(make_index(path.parent, 768, 60, "trained"), path)
        return path, "holds|empty", BadModel
    if way == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros((3, 4), "f4"))
        return path, "shape", BadModel
    path.write_bytes(written(made("IVF4,Flat"), path).read_bytes()[:-9])
    return path, "damaged or incomplete: get it again", BadModel


@pytest.mark.parametrize("way", ["kind", "damaged", "npy", "empty"])
@pytest.mark.parametrize("door", ["named", "zip"])
def test_none_is_dropped_without_a_word(way: str, door: str, anna: Path, tmp_path: Path, store: VoiceStore) -> None:
    (tmp_path / "f").mkdir()
    index, words, kind = unusable(tmp_path / "f/added_anna.index", way)
    paths = [anna, index]
    if door == "zip":
        with zipfile.ZipFile(tmp_path / "anna.zip", "w") as archive:
            for path in paths:
                archive.write(path, path.name)
        paths = [tmp_path / "anna.zip"]
    said: list[str] = []
    (card,) = store.bring_in(paths, left_out=said.append)
    assert card.index is None
    assert [note.startswith("plays without its index: added_anna.index: ") for note in card.notes] == [True]
    assert [one in card.notes[0] for one in said] == [True]
    if door == "zip":
        return
    with pytest.raises(kind, match=f"({words}).*; a voice plays without an index, too"):  # alone, it is refused
        store.bring_in([index])
    # the right one, brought in later, is taken and the note is over
    (card,) = store.bring_in([written(made("IVF4,Flat"), tmp_path / "f/added_anna_v2.index")])
    assert (card.id, card.vectors, card.notes) == ("anna", COUNT, ())
