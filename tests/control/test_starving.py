"""The fault of a microphone that hears and plays nothing; the callback's own counters decide."""

from __future__ import annotations

import numpy as np
import pytest

from rwc_daemon.audio.callback import Callback
from rwc_daemon.audio.client import AudioClient
from rwc_daemon.control.faults import Faults
from rwc_daemon.control.figures import Figures
from rwc_daemon.control.starving import PLACE, Starving
from rwc_daemon.link.ring import Link

RATE, BLOCK = 48000, 256


class Rig:
    """A graph that is driven by hand, and an engine that answers when told to."""

    def __init__(self, link: Link) -> None:
        self.link, self.callback, self.faults = link, Callback(link, RATE), Faults(lambda _: None)
        link.set_mode("convert")
        link.set_hold(2 * BLOCK, BLOCK)
        link.join(link.new_generation())
        self.figures = Figures(link, AudioClient(link))
        self.starving = Starving(self.figures, self.faults)

    def second(self, quantum: int, voice: bool, converting: bool = True) -> bool:
        """Whether the fault stands after it."""
        for _ in range(RATE // quantum):
            self.callback.run_cycle(np.full(quantum, 0.1, np.float32))
            while voice and self.link.available() >= BLOCK:
                self.link.write(self.link.read(BLOCK))
        before = self.figures.read()
        self.starving.look(before, converting)
        return self.faults.stands(PLACE)


@pytest.fixture
def rig():
    link = Link.create()
    yield Rig(link)
    link.close()


def test_silence_for_a_whole_second_is_a_fault_until_there_is_voice(rig):
    assert not rig.second(BLOCK, voice=True)
    assert not rig.second(BLOCK, voice=True)
    assert rig.second(BLOCK, voice=False)
    assert "close busy programs" in rig.faults.shown.message
    while rig.link.available() >= BLOCK:
        rig.link.write(rig.link.read(BLOCK))
    assert not rig.second(BLOCK, voice=True)


def test_a_short_quantum_is_named(rig):
    rig.second(16, voice=False)
    assert rig.second(16, voice=False)
    assert "more than 16 samples" in rig.faults.shown.message


def test_what_need_not_be_heard_is_none(rig):
    assert not rig.second(BLOCK, voice=False)  # the first second of a voice
    assert rig.second(BLOCK, voice=False)
    assert not rig.second(BLOCK, voice=False, converting=False)
    assert not rig.second(BLOCK, voice=False)
