"""A daemon learns how the one before it ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rwc_daemon.host.lifetime import UNKNOWN, Lifetime

RUN = """
import sys
from pathlib import Path
from rwc_daemon.host.lifetime import Lifetime
life = Lifetime(Path(sys.argv[1]))
print(life.begin())
if "words" in sys.argv:
    life.last_words("ended with the session bus")
if "end" in sys.argv:
    life.end()
"""


def one(folder: Path, *how: str) -> str:
    """A life in a process of its own; answers with what it heard of the one before."""
    command = [sys.executable, "-c", RUN, str(folder), *how]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_an_orderly_end_is_not_worth_a_word(tmp_path: Path) -> None:
    assert one(tmp_path / "rwc", "end") == ""
    assert one(tmp_path / "rwc", "end") == ""
    assert not list((tmp_path / "rwc").iterdir())
    assert (tmp_path / "rwc").stat().st_mode & 0o777 == 0o700


def test_an_end_that_nobody_asked_for_is_told_once(tmp_path: Path) -> None:
    one(tmp_path)
    assert one(tmp_path, "end") == UNKNOWN
    assert one(tmp_path, "end") == ""


def test_last_words_are_passed_on(tmp_path: Path) -> None:
    one(tmp_path, "words")
    assert one(tmp_path) == "ended with the session bus"


@pytest.mark.parametrize(
    ("result", "said"),
    [("signal KILL", "was killed (SIGKILL)"), ("core-dump SEGV", "crashed (SIGSEGV)"),
     ("watchdog ABRT", "stood still, and systemd replaced it"), ("oom-kill KILL", "was killed for want of memory"),
     ("exit-code 1", UNKNOWN), ("\xff" * 5000, UNKNOWN)],
)  # fmt: skip
def test_systemd_knows_why(tmp_path: Path, result: str, said: str) -> None:
    one(tmp_path)
    (tmp_path / "ended").write_text(f"{result}\n")
    assert one(tmp_path, "end") == said
    assert not list(tmp_path.iterdir())


def test_another_run_of_the_machine_and_a_living_daemon_are_none(tmp_path: Path) -> None:
    one(tmp_path)
    note = tmp_path / "running"
    note.write_text(note.read_text().split()[0] + " another-boot\n")
    assert one(tmp_path, "end") == ""
    ours = Lifetime(tmp_path)
    ours.begin()
    assert one(tmp_path) == ""


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    life = Lifetime(tmp_path / "file" / "rwc")
    assert life.begin() == ""
    life.last_words("x")
    life.end()
