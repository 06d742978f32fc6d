"""Load from blocks of known cost."""

import pytest

from rwc_daemon.engine import load_meter as module
from rwc_daemon.engine.load_meter import LoadMeter
from rwc_daemon.thresholds import THRESHOLDS


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def play(meter, clock, shares, spoken=True):
    for share in shares:
        clock.now_s += 0.1
        meter.count(share * 0.1, 0.1, spoken)


def test_single_slow_blocks_are_no_overload_and_many_are(clock):
    meter = LoadMeter()
    play(meter, clock, [0.6] * 18 + [3.0, 3.0])
    assert meter.load_p75 == pytest.approx(0.6)
    play(meter, clock, [1.2] * 8)
    assert meter.load_p75 == pytest.approx(1.2)


def test_what_was_not_spoken_and_what_another_step_took_says_nothing(clock):
    meter = LoadMeter()
    assert meter.load_p75 is None
    play(meter, clock, [0.01] * 5, spoken=False)
    assert meter.load_p75 is None
    play(meter, clock, [0.9] * 5)
    meter.start_over()
    assert meter.load_p75 is None
    play(meter, clock, [0.5] * 5)
    assert meter.load_p75 == pytest.approx(0.5)
    clock.now_s += THRESHOLDS.load_window_s
    assert meter.load_p75 is None


def test_a_beat_tells_of_the_last_second_alone(clock):
    meter = LoadMeter()
    play(meter, clock, [1.5] * 12 + [0.5] * 9)
    clock.now_s += 0.05
    beat = meter.heartbeat()
    assert beat.blocks == 10
    assert beat.load == pytest.approx(0.6)
    assert beat.compute_max_ms == pytest.approx(150)
    meter.skip(480, 48000)
    assert meter.heartbeat().skipped == 480
