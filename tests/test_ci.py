"""What runs again and how much is skipped is limited: .ci/run rests on it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from testkit import ci

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest
from pathlib import Path
def first_time(name):
    path = Path(__file__).with_name(name)
    here = path.exists()
    path.touch()
    return not here
@pytest.mark.realtime
@pytest.mark.parametrize("n", range(REALTIME))
def test_server(n):
    assert not first_time(f"seen {n}")
def test_numbers():
    assert not PLAIN or not first_time("seen")
def test_skips():
    if REASON:
        pytest.skip(REASON)
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "--rootdir", str(folder), *words, str(folder)]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def suite(folder: Path, realtime: int, plain: bool = False, reason: str = "") -> Path:
    shutil.copy(ROOT / "tests/conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = realtime: may run again\n")
    names = f"REALTIME, PLAIN, REASON = {realtime}, {plain}, {reason!r}"
    (folder / "test_it.py").write_text(names + TESTS)
    return folder


def test_a_few_realtime_tests_run_again_and_are_counted(tmp_path: Path) -> None:
    folder = suite(tmp_path, realtime=3)
    assert run(folder).returncode == 1
    again = run(folder, "--again")
    assert again.returncode == 0, again.stdout
    assert "ran again: 3 of at most 3: test_it.py::test_server[0]" in again.stdout
    assert "3 passed" in again.stdout


@pytest.mark.parametrize(("realtime", "plain", "says"), [(4, False, "at most 3"), (1, True, "run only once")])
def test_more_of_them_and_all_others_stay_red(tmp_path: Path, realtime: int, plain: bool, says: str) -> None:
    folder = suite(tmp_path, realtime, plain)
    assert run(folder).returncode == 1
    again = run(folder, "--again")
    assert again.returncode not in (0, 5)
    assert says in again.stderr


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "side by side"])
@pytest.mark.parametrize(("reason", "code"), [("mounting needs root", 0), ("no time today", 1)])
def test_only_known_reasons_skip(tmp_path: Path, reason: str, code: int, workers: tuple[str, ...]) -> None:
    done = run(suite(tmp_path, 1, reason=reason), "--deselect", "test_it.py::test_server", *workers)
    assert done.returncode == code, done.stdout
    assert f"skipped:    1 {reason}" in done.stdout


def test_a_reason_is_not_given_too_often() -> None:
    assert not ci.beyond_budget(Counter({"mp3 has two channels at most": 1}))
    assert ci.beyond_budget(Counter({"mp3 has two channels at most": 2}))
