"""The catalogue of faults, its short form, in a real desktop session; the long form is tools/reliability."""

from __future__ import annotations

from typing import Any

import pytest

from testkit.faults.catalogue import FAULTS
from testkit.faults.enter import asked, printed, why_not
from testkit.faults.marked import RATE

SHORT = [fault for fault in FAULTS if fault.short]
# a machine that is busy elsewhere takes its time; that nothing unprocessed is heard does not depend on it
pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "possible"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Of the faults that this run asks for."""
    lines = list(printed("suite", "--short", *asked(request, "fault"), timeout_s=800))
    return {"control": lines[0]["control_of_48000"], **{row["fault"]: row for row in lines[1:]}}


def test_the_judge_finds_the_bare_voice_in_bypass(report: dict[str, Any]) -> None:
    assert report["control"] > RATE // 4


@pytest.mark.parametrize("fault", SHORT, ids=[fault.name for fault in SHORT])
def test_a_fault_is_survived_in_silence(report: dict[str, Any], fault: Any) -> None:
    row = report[fault.name]
    assert row["unprocessed_samples"] == 0, row
    assert not row["trouble"], row
    assert fault.told in row["told"], row


def test_nothing_is_left_behind() -> None:
    for row in printed("leaks", "--cycles", "8", "--switches", "10", "--kills", "1", timeout_s=300):
        before, after = row["before"], row["after"]
        changed = {what: (before[what], after[what]) for what in before if before[what] != after[what]}
        for what in ("nodes", "ports", "links", "modules", "processes", "files", "daemon_fds", "engine_fds"):
            assert after[what] <= before[what], (row["series"], what, changed)
        for what in ("daemon_mb", "engine_mb"):
            assert after[what] <= before[what] + 8, (row["series"], what, changed)


def test_a_minute_of_random_use_and_faults() -> None:
    account = list(printed("soak", "--minutes", "0.4", "--seed", "3", timeout_s=300))[-1]
    assert account["unprocessed_samples"] == 0, account
    assert not account["troubles"], account
    assert account["sources"] == 1
