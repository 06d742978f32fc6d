"""Hundreds of hostile files through the real child: no code runs, nothing outside is touched, nothing is kept."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.voices import VoiceStore
from testkit.makers import make_index, make_onnx
from tests.store import hostile

BATCH = 90


@pytest.fixture
def files(tmp_path: Path, anna: Path) -> list[Path]:
    folder = tmp_path / "hostile"
    folder.mkdir()
    (tmp_path / "source").mkdir()
    index = make_index(tmp_path / "source", 256, 40).read_bytes()
    onnx = make_onnx(tmp_path / "source").read_bytes()

    def all_of_them() -> Iterator[Path]:
        yield from hostile.code(folder, tmp_path / "mark")
        yield from hostile.tensors(folder)
        yield from hostile.pickles(folder)
        yield from hostile.zips(folder, tmp_path)
        yield from hostile.indexes(folder, index)
        yield from hostile.safetensors(folder)
        yield from hostile.onnx(folder, onnx)
        (folder / "overlap.pth").write_bytes(hostile.spoiled_zip(anna.read_bytes()))
        yield folder / "overlap.pth"

    return list(all_of_them())


def test_none_of_hundreds_gets_in_runs_or_writes_outside(
    files: list[Path], tmp_path: Path, anna: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(files) >= 200
    store = VoiceStore(tmp_path / "voices")
    for start in range(0, len(files), BATCH):
        batch = tmp_path / f"batch-{start}"
        batch.mkdir()
        shutil.copy(anna, batch / "good.pth")
        for path in files[start : start + BATCH]:
            path.rename(batch / path.name)
        before = {path for path in tmp_path.rglob("*") if store.root not in path.parents}
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            # only the honest voice comes in; every other file is named with its reason
            (card,) = store.bring_in([batch])
        # (a zip may be named by what is in it)
        assert len(caplog.records) >= len(list(batch.iterdir())) - 1
        assert {path for path in tmp_path.rglob("*") if store.root not in path.parents} - before <= {store.root}
        store.remove(card.id)
    assert not (tmp_path / "mark").exists()
    assert not Path("/tmp/evil.pth").exists()


@pytest.mark.parametrize("name", ["os system", "builtins eval", "subprocess Popen", "builtins getattr"])
def test_a_file_that_wants_to_run_code_is_named(name: str, tmp_path: Path, store: VoiceStore) -> None:
    files = list(hostile.code(tmp_path, tmp_path / "mark"))
    number = hostile.FUNCTIONS.index(name)
    path = next(path for path in files if path.name == f"code-{number}.pth")
    with pytest.raises(
        BadModel, match=rf"tries to run code \({name.replace(' ', '.')}\).*was not run.*source you trust"
    ):
        store.bring_in([path])
    assert store.list() == []
    assert not (tmp_path / "mark").exists()


def test_each_trick_with_a_zip_has_its_own_words(tmp_path: Path, store: VoiceStore) -> None:
    said = {}
    for path in hostile.zips(tmp_path, tmp_path):
        with pytest.raises((BadModel, Unsupported)) as caught:
            store.bring_in([path])
        said[path.stem] = str(caught.value)
    assert "leads outside" in said["slip-0"]
    assert "link or device" in said["link"]
    assert "zip bomb" in said["bomb"]
    assert "2500 files" in said["many"]
    assert "a zip within a zip: unpack it" in said["nested"]
    assert "holds no .pth" in said["nothing"]
    assert "two files of one name" in said["twice"]
    assert store.list() == []
