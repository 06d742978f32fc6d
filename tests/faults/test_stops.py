"""Four recorders beside each other while RWC is stopped, killed and removed; the long form is tools/reliability."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal

from rwc_daemon.controls import Controls
from rwc_daemon.conversion.stream import Stream
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.builtin.voice import load_builtin
from testkit.faults.enter import asked, printed, why_not
from testkit.faults.noise import RATE, played, unprocessed_samples
from testkit.faults.stops import EVENTS

SHORT = [event.name for event in EVENTS if event.short]
VOICES = ("robot", "whisper")  # what lets noise pass
NEAR = RATE // 100  # samples that a count may be off


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    return played(2)


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Of the events that this run asks for."""
    if why := why_not():
        pytest.skip(why)
    first, *rows = printed("stops", "--short", *asked(request, "event"), timeout_s=600)
    return {"first": first, **{row["event"]: row for row in rows}}


def test_the_judge_counts_what_is_unprocessed_at_any_rate_and_level(source: np.ndarray) -> None:
    at_44k = signal.resample_poly(source, 147, 160)
    assert unprocessed_samples(source) > len(source) - NEAR
    assert unprocessed_samples(at_44k, 44100) > len(at_44k) - NEAR
    assert unprocessed_samples(np.round(0.01 * source * 32768) / 32768) > len(source) - NEAR
    assert unprocessed_samples(np.random.default_rng(1).standard_normal(RATE)) == 0


@pytest.mark.parametrize("name", VOICES)
def test_no_voice_is_called_a_leak_and_a_leak_in_it_is_counted(source: np.ndarray, name: str) -> None:
    heard = Stream(load_builtin(name), Plan.fit(RATE, 256, Block(10)), Controls()).feed(source)
    assert unprocessed_samples(heard) == 0
    for length in (RATE // 100, RATE // 10):  # 10 ms, 100 ms
        for around in (heard, np.zeros_like(heard)):
            leaking = around.copy()
            leaking[RATE : RATE + length] = source[RATE // 2 : RATE // 2 + length]
            assert unprocessed_samples(leaking) == pytest.approx(length, abs=NEAR // 2)


@pytest.mark.timeout(700)
def test_the_judge_finds_bypass_at_every_recorder_and_no_leak_in_a_voice(report: dict[str, Any]) -> None:
    assert min(report["first"]["control"].values()) > RATE // 4
    assert set(report["first"]["clean"].values()) == {0}


@pytest.mark.timeout(700)
@pytest.mark.parametrize("event", SHORT)
def test_nobody_hears_the_unprocessed_microphone(report: dict[str, Any], event: str) -> None:
    row = report[event]
    assert not row["trouble"], row
    assert set(row["unprocessed"].values()) == {0}, row
