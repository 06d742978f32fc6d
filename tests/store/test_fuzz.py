"""Some hundred spoiled files through the real import (`tools/fuzz_import` tries more)."""

from __future__ import annotations

from pathlib import Path

from testkit.import_fuzzer import fuzz

COUNT = 400


def test_spoiled_files_are_taken_or_refused(tmp_path: Path) -> None:
    (*_, report) = fuzz(COUNT, tmp_path, seed=11)
    assert report.culprits == []
    assert set(report.outcomes) <= {"taken", "refused"}
    assert report.outcomes.total() == COUNT
