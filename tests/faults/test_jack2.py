"""The essential faults on plain JACK2; the long form is tools/reliability_jack2."""

from __future__ import annotations

import shutil

import pytest

from tests.faults.enter import printed, why_not
from tests.faults.marked import RATE

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "possible"),
    pytest.mark.skipif(not shutil.which("jackd"), reason="jackd is not installed"),
]


def test_engine_and_server_die_in_silence() -> None:
    control, *rows = printed("jack2", "--short", timeout_s=280)
    assert control["control_of_48000"] > RATE // 4
    assert len(rows) == 2
    for row in rows:
        assert row["bare_samples"] == 0, row
        assert not row["trouble"], row
        assert row["told"], row
