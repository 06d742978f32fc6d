"""Where torch was left out (RWC_TORCH=none), what needs it is skipped and named, instead of ending the whole run.
Marks what is `realtime`, runs it again on request, and counts skips: see testkit/ci.py."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Generator

import pytest

from testkit import ci

ABSENT = [name for name in ("torch", "faiss") if importlib.util.find_spec(name) is None]
SKIPPED = pytest.StashKey[Counter[str]]()
AGAIN = pytest.StashKey[list[str]]()


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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--again", action="store_true", help="run only the realtime tests that failed last time, once")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SKIPPED] = Counter()
    config.stash[AGAIN] = []
    config.pluginmanager.register(SkipCounter(config.stash[SKIPPED]))


class SkipCounter:
    """Counts skipped tests and modules by their reason."""

    def __init__(self, skipped: Counter[str]) -> None:
        self._skipped = skipped

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._count(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "wasxfail"):
            self._count(report)

    def _count(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self._skipped[report.longrepr[2].removeprefix("Skipped: ")] += 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and ci.is_realtime(item.fixturenames, item.module):
            item.add_marker("realtime")
            if ci.is_patient(item.path):
                item.add_marker("patient")
    # what takes longest begins first, while others keep the cores busy
    items.sort(key=lambda item: item.get_closest_marker("patient") is None)
    if not config.getoption("again"):
        return
    failed = set(config.cache.get("cache/lastfailed", {})) if config.cache else set()
    realtime = {item.nodeid for item in items if item.get_closest_marker("realtime")}
    if why := ci.why_not_again(failed, realtime):
        raise pytest.UsageError(why)
    if not failed:
        raise pytest.UsageError("no test failed last time, but the run was not green either")
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in failed])
    items[:] = [item for item in items if item.nodeid in failed]
    config.stash[AGAIN] = [item.nodeid for item in items]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if ci.beyond_budget(session.config.stash[SKIPPED]) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for reason, count in config.stash[SKIPPED].most_common():
        terminalreporter.write_line(f"skipped: {count:4} {reason}")
    for wrong in ci.beyond_budget(config.stash[SKIPPED]):
        terminalreporter.write_line(f"ERROR: {wrong}", red=True)
    if again := config.stash[AGAIN]:
        terminalreporter.write_line(f"ran again: {len(again)} of at most {ci.AGAIN_AT_MOST}: {', '.join(again)}")
