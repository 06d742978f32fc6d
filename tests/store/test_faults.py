"""Killed, cancelled, too long, no room: the store is as it was, and nothing is left behind."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rwc_daemon.errors import BadModel, BadState, Cancelled
from rwc_daemon.store import files, importer
from rwc_daemon.store.confine import Limits
from rwc_daemon.store.voices import VoiceStore


def settled(store: VoiceStore) -> list[str]:
    """Names in the store, once nothing is staged any more."""
    assert not list((store.root / ".staging").iterdir())
    return sorted(path.name for path in store.root.iterdir() if path.name != ".staging")


def children() -> list[psutil.Process]:
    """Import children of this process that live."""
    return [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_the_child_is_killed(share: float, made: Path, store: VoiceStore) -> None:
    looked: list[float] = []

    def kill(done: float) -> None:
        if done >= share:
            looked.append(done)
            for child in children():
                child.kill()

    if share < 0.9:
        with pytest.raises(BadModel, match=r"the file is damaged; get it again"):
            store.bring_in([made], progress=kill)
        assert settled(store) == []
        return
    # so late that the child may have finished first: then both voices are there, whole
    with contextlib.suppress(BadModel):
        store.bring_in([made], progress=kill)
    assert looked
    assert len(settled(store)) == len(store.list())
    assert len(store.list()) in (0, 2)


def test_the_user_stops_it(made: Path, store: VoiceStore) -> None:
    told: list[float] = []
    with pytest.raises(Cancelled, match="nothing was changed"):
        store.bring_in([made], progress=told.append, cancelled=lambda: bool(told))
    assert settled(store) == []
    assert children() == []


def test_progress_only_grows(made: Path, store: VoiceStore) -> None:
    told: list[float] = []
    store.bring_in([made], progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 10


KILLED = """
import os, signal, sys
from pathlib import Path
from rwc_daemon.store.voices import VoiceStore
at = float(sys.argv[3])
def progress(share):
    if share >= at:
        import psutil
        print(*[child.pid for child in psutil.Process().children()], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
VoiceStore(Path(sys.argv[1])).bring_in([Path(sys.argv[2])], progress=progress)
"""


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_parent_is_killed(share: float, made: Path, store: VoiceStore) -> None:
    command = [sys.executable, "-c", KILLED, str(store.root), str(made), str(share)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    for pid in map(int, done.stdout.split()):
        _await_end(pid)
    assert store.list() == []
    assert [path.name for path in store.root.iterdir()] == [".staging"]
    store.bring_in([made / "anna.pth"])  # sweeps what was left
    assert settled(store) == ["anna"]


def _await_end(pid: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.02)
                continue
        return
    pytest.fail("the import child outlived its parent")


def test_staging_of_the_living_is_not_swept(store: VoiceStore) -> None:
    with files.staging(store.root) as mine:
        (mine / "work").write_text("x")
        with files.staging(store.root) as other:
            assert (mine / "work").exists()
            assert other != mine
    assert settled(store) == []


def test_too_slow_is_stopped(made: Path, store: VoiceStore) -> None:
    with files.staging(store.root) as stage, importer.opened([made]) as opened:  # noqa: SIM117 - reads in order
        with pytest.raises(BadModel, match="took longer than any voice needs"):
            importer.run("voices", opened, stage, limit_s=0.0)
    assert children() == []


def test_too_much_memory_is_stopped(made: Path, store: VoiceStore) -> None:
    with files.staging(store.root) as stage, importer.opened([made]) as opened:  # noqa: SIM117 - reads in order
        with pytest.raises(BadModel, match=r"memory|broke down"):
            importer.run("voices", opened, stage, limits=Limits(memory=8 << 20))


def test_no_room_for_the_weights(anna: Path, store: VoiceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Limits(file=100_000)
    monkeypatch.setattr(importer, "Limits", lambda: small)
    with pytest.raises(BadState, match=r"the disk is full.*nothing was changed; free some space"):
        store.bring_in([anna])
    assert settled(store) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() or libc.mount(b"tmpfs", bytes(place), b"tmpfs", 0, b"size=256k"):
        pytest.skip("mounting needs root")
    yield place
    libc.umount2(bytes(place), 2)


def test_a_disk_that_is_full(tiny_disk: Path, anna: Path) -> None:
    store = VoiceStore(tiny_disk / "voices")
    with pytest.raises(BadState, match="the disk is full"):
        store.bring_in([anna])
    assert settled(store) == []
    (tiny_disk / "ballast").write_bytes(bytes(1 << 10))
    kept = tiny_disk / "state.json"
    files.write_atomic(kept, b"old")
    with pytest.raises(BadState, match=r"state.json was not written and nothing was changed"):
        files.write_atomic(kept, bytes(1 << 20))
    assert kept.read_bytes() == b"old"
    assert sorted(path.name for path in tiny_disk.iterdir()) == ["ballast", "state.json", "voices"]


def test_write_atomic_keeps_the_old_or_has_the_new(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "state.json"
    files.write_atomic(path, b"one")
    files.write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["state.json"]
    with pytest.raises(BadState, match="cannot be written"):
        files.write_atomic(path / "below a file", b"")


def test_what_a_disk_error_says() -> None:
    path = Path("/somewhere/state.json")
    assert "free some space" in str(files.disk_error(path, OSError(errno.ENOSPC, "No space left")))
    assert "who owns the folder /somewhere" in str(files.disk_error(path, OSError(errno.EACCES, "Permission denied")))


def test_a_child_that_lies_is_not_believed(anna: Path, store: VoiceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = importer.run

    def lying(task: str, opened: list[importer.Opened], stage: Path, *rest: object) -> importer.Answer:
        answer = run(task, opened, stage, *rest)  # type: ignore[arg-type]
        weights = stage / "out" / "0" / "weights.safetensors"
        weights.unlink()
        weights.symlink_to("/etc/passwd")
        return answer

    monkeypatch.setattr(importer, "run", lying)
    with pytest.raises(BadModel, match="not a file: nothing was imported"):
        store.bring_in([anna])
    assert settled(store) == []
