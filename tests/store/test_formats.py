"""The readers of FAISS and ONNX files against the libraries that write them."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.faiss_file import IndexInfo, looks_like_index, read_index
from rwc_daemon.store.onnx_file import looks_like_onnx, read_onnx
from testkit.makers import make_index, make_onnx

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize("width", [256, 768])
@pytest.mark.parametrize(("kind", "lists"), [("ivf", 3), ("flat", 0), ("sparse", 60)])
def test_indexes_as_faiss_writes_them(width: int, kind: str, lists: int, tmp_path: Path) -> None:
    path = make_index(tmp_path, width, 120, kind)
    assert looks_like_index(path.read_bytes()[:8])
    with path.open("rb") as file:
        found = read_index(file)
        assert found.info == IndexInfo(width, 120, lists, f"IVF{lists},Flat" if lists else "Flat")
        assert found.plain
    assert faiss.read_index(str(path)).ntotal == 120


def test_the_reference_index() -> None:
    with (GOLDEN / "index_v1_sparse.index").open("rb") as file:
        info = read_index(file).info
    known = faiss.read_index(str(GOLDEN / "index_v1_sparse.index"))
    assert (info.width, info.count, info.lists) == (known.d, known.ntotal, known.nlist)


def test_an_index_of_similarities_is_refused(tmp_path: Path) -> None:
    index = faiss.IndexFlatIP(256)
    index.add(np.ones((3, 256), "f4"))
    faiss.write_index(index, str(tmp_path / "x.index"))
    with (tmp_path / "x.index").open("rb") as file, pytest.raises(Unsupported):
        read_index(file)


def test_vectors_must_be_numbers(tmp_path: Path) -> None:
    index = faiss.IndexFlatL2(256)
    index.add(np.full((3, 256), np.nan, "f4"))
    faiss.write_index(index, str(tmp_path / "x.index"))
    with (tmp_path / "x.index").open("rb") as file, pytest.raises(BadModel, match="not numbers"):
        read_index(file).judge()


@pytest.mark.parametrize("client", [False, True])
def test_an_onnx_voice_is_read(client: bool, tmp_path: Path) -> None:
    data = make_onnx(tmp_path, "v1-32k-f0", client).read_bytes()
    assert looks_like_onnx(data[:8])
    info = read_onnx(memoryview(data))
    assert (info.width, info.rate, info.f0, info.is_voice) == (256, 32000, True, True)
    assert info.strides == [10, 4, 2, 2, 2]
    assert bool(info.client) == client


def test_the_made_onnx_voice_runs(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(make_onnx(tmp_path)))
    given = {"phone": np.zeros((1, 7, 768), "f4"), "phone_lengths": np.array([7]), "ds": np.array([0])}
    given |= {"pitch": np.ones((1, 7), "i8"), "nsff0": np.zeros((1, 7), "f4")}
    assert session.run(None, given)[0].shape == (1, 1, 2800)
