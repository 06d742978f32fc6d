"""A short form of each fuzzer (of D-Bus: tests/faces/test_dbus_fuzz.py; of model files: tests/store/test_fuzz.py)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testkit.fuzz import files, lines, sounds, words
from testkit.fuzz.account import Account

Fuzzer = Callable[[int, int, Path], Account]


@pytest.mark.parametrize(
    ("fuzz", "count"),
    [
        (files.settings, 1000),
        (files.state, 300),
        (files.repository, 1000),
        (words.fuzz, 700),
        (lines.engines, 40),
        (sounds.fuzz, 120),
    ],
    ids=["settings", "state", "repository", "command lines", "engine", "sounds"],
)
def test_nothing_crashes_or_hangs(fuzz: Fuzzer, count: int, tmp_path: Path) -> None:
    account = fuzz(count, 11, tmp_path)
    assert not account.culprits
    assert account.tried == count
    assert account.taken
    assert account.refused


def test_a_line_is_a_message_or_none() -> None:
    account = lines.decoding(20_000, 11)
    assert not account.culprits
    assert account.taken > 1000
