"""The fault of a microphone that hears and plays nothing; the callback's own counters decide."""

from __future__ import annotations

import numpy as np
import pytest

from rwc_daemon.audio.callback import Callback
from rwc_daemon.control.faults import Faults
from rwc_daemon.control.starvation import PLACE, StarvationWatch
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.thresholds import THRESHOLDS as LIMITS

RATE, BLOCK = 48000, 256


class Rig:
    """A graph that is driven by hand, and an engine that answers when told to."""

    def __init__(self, link: SharedRings) -> None:
        self.link, self.callback, self.faults = link, Callback(link, RATE), Faults(lambda _: None)
        link.set_mode("convert")
        link.set_playout(2 * BLOCK, BLOCK)
        link.join(link.new_generation())
        self.more = 0  # times that slack was asked for
        self.starvation = StarvationWatch(link, self.faults, self._add)

    def _add(self) -> None:
        self.more += 1

    def run(self, seconds: float, quantum: int, voice: bool, converting: bool = True, reads: bool = True) -> bool:
        """Whether the fault stands after it, with a glance now and again. `reads`: the engine lives."""
        for _ in range(round(seconds / LIMITS.glance_s)):
            for _ in range(round(LIMITS.glance_s * RATE) // quantum):
                self.callback.run_cycle(np.full(quantum, 0.1, np.float32))
                while reads and self.link.available() >= BLOCK:
                    heard = self.link.read(BLOCK)
                    if voice:
                        self.link.write(heard)
                    else:
                        self.link.write_nothing(BLOCK)
            self.starvation.look(converting, latency_s=2 * BLOCK / RATE)
        return self.faults.stands(PLACE)


@pytest.fixture
def rig():
    link = SharedRings.create()
    yield Rig(link)
    link.close()


def test_silence_is_told_within_a_second_and_until_there_is_voice(rig):
    assert not rig.run(2.0, BLOCK, voice=True)
    assert not rig.run(0.8, BLOCK, voice=False)
    assert rig.run(0.2, BLOCK, voice=False)
    assert "close busy programs" in rig.faults.shown.message
    assert rig.run(0.2, BLOCK, voice=True), "one fifth of a second is no cure"
    assert not rig.run(0.6, BLOCK, voice=True)


def test_slack_is_asked_for_before_the_fault_and_not_at_every_look(rig):
    rig.run(2.0, BLOCK, voice=True)
    assert rig.more == 0
    rig.run(0.8, BLOCK, voice=False)
    assert rig.more == 1
    rig.run(1.2, BLOCK, voice=False)
    assert 2 <= rig.more <= 4


def test_an_engine_that_stands_still_is_told_and_gets_no_slack(rig):
    rig.run(2.0, BLOCK, voice=True)
    assert rig.run(2.0, BLOCK, voice=False, reads=False)
    assert rig.more == 0


def test_short_gaps_are_no_fault(rig):
    rig.run(1.0, BLOCK, voice=True)
    for _ in range(5):
        assert not rig.run(0.4, BLOCK, voice=False)
        assert not rig.run(0.6, BLOCK, voice=True)


def test_a_short_quantum_is_named(rig):
    assert rig.run(2.0, 16, voice=False)
    assert "more than 16 samples" in rig.faults.shown.message


def test_what_need_not_be_heard_is_none(rig):
    assert not rig.run(0.8, BLOCK, voice=False)  # a voice that has just been chosen
    assert rig.run(1.0, BLOCK, voice=False)
    assert not rig.run(1.0, BLOCK, voice=False, converting=False)
    assert not rig.run(0.8, BLOCK, voice=False)
