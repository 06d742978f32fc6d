"""state.json: whole or the old one, private, and never a reason not to start."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rwc_daemon.controls import Controls
from rwc_daemon.errors import BadState
from rwc_daemon.host.state import Saved, StateFile

SAVED = Saved("robot", "alsa_input.usb", "mute", Controls(pitch=3.5, f0_method="yin"), {"pitch": 1.0})


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "rwc" / "state.json"
    StateFile(path).save(SAVED)
    assert StateFile(path).load() == (SAVED, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_none_is_the_defaults_without_a_word(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "state.json").load() == (Saved(), "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xff",
        b"null",
        b'{"voice": 7}',
        b'{"mode": "loud"}',
        b'{"controls": {"pitch": 99}}',
        b'{"controls": {"pitch": NaN}}',
        b'{"controls": {"pitch": "NaN"}}',
        b'{"controls": []}',
        b'{"common": {"speaker": -1}}',
        b'{"controls": {"quality": ["high"]}}',
        b"[" * 100_000,
        b" " * (2 << 20),
    ],
    ids=lambda content: repr(content[:30]),
)
def test_a_damaged_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    saved, words = StateFile(path).load()
    assert saved == Saved()
    assert "was damaged" in words
    assert "state.json.damaged-1" in words
    assert (tmp_path / "state.json.damaged-1").read_bytes() == content
    assert not path.exists()


def test_damaged_files_do_not_pile_up(tmp_path: Path) -> None:
    for _ in range(15):
        (tmp_path / "state.json").write_text("{")
        StateFile(tmp_path / "state.json").load()
    assert len(list(tmp_path.iterdir())) == 9


def test_a_pipe_in_its_place_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state.json")
    assert "not a plain file" in StateFile(tmp_path / "state.json").load()[1]


def test_keys_of_a_newer_version_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"voice": "tiny", "moon": 1, "controls": {"sparkle": 2, "pitch": 1}}')
    saved, words = StateFile(tmp_path / "state.json").load()
    assert (saved.voice, saved.controls.pitch, words) == ("tiny", 1.0, "")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = StateFile(tmp_path / "state.json")
    file.save(SAVED)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadState, match=r"No space left on device.*last saved state is kept"):
        file.save(Saved("tiny"))
    monkeypatch.undo()
    assert StateFile(tmp_path / "state.json").load() == (SAVED, "")
    assert len(list(tmp_path.iterdir())) == 1
    file.save(Saved("tiny"))
    assert StateFile(tmp_path / "state.json").load()[0].voice == "tiny"


def test_a_place_where_nothing_can_be_written() -> None:
    with pytest.raises(BadState, match="cannot write"):
        StateFile(Path("/proc/rwc/state.json")).save(SAVED)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_no_content_stops_the_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.json").write_bytes(content)
    StateFile(tmp_path / "state.json").load()
