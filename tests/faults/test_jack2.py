"""The server's death on plain JACK2; the other faults are tried by tools/reliability_jack2."""

from __future__ import annotations

import shutil

import pytest

from testkit.faults.enter import printed, why_not
from testkit.faults.marked import RATE

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "possible"),
    pytest.mark.skipif(
        not (shutil.which("jackd") and shutil.which("jack_lsp")), reason="jackd or jack_lsp is not installed"
    ),
]


def test_the_server_dies_in_silence_and_comes_back() -> None:
    control, row = printed("jack2", "--short", timeout_s=280)
    assert control["control_of_48000"] > RATE // 4
    assert row["unprocessed_samples"] == 0, row
    assert not row["trouble"], row
    assert row["told"], row
