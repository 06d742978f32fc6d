"""Where torch was left out (RWC_TORCH=none), what needs it is skipped and named, instead of ending the whole run."""

from __future__ import annotations

import importlib.util
from collections.abc import Generator

import pytest

ABSENT = [name for name in ("torch", "faiss") if importlib.util.find_spec(name) is None]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    wanting = [name for name in ABSENT if report.failed and f"No module named '{name}'" in str(report.longrepr)]
    if wanting:
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: needs {wanting[0]}")
    return report
