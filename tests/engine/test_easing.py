"""What is asked of the loader while a costly voice plays, and on how many threads its nets may run."""

import pytest
from plain_voices import CostlyVoice

from rwc_daemon.controls import Controls
from rwc_daemon.engine.crew import SEEN, Crew
from rwc_daemon.engine.deadline import CALM_S
from rwc_daemon.engine.easing import Easing
from rwc_daemon.engine.wish import Loaded, Warmed, steps_of

ASKED = Controls(quality="balanced")


class Meter:
    """As full as it is told to be."""

    fullness, skipped = 0.5, 0


class Voice:
    """An Easing, a voice, and a loader that does nothing by itself."""

    def __init__(self):
        self.others, self.wishes, self.said = 0.0, [], []
        self.voice = CostlyVoice("net")
        self.steps = steps_of(self.voice, ASKED)
        self.easing = Easing(Crew(2, 2, lambda: self.others), self.wishes.append, self.said.append)
        self.meter = Meter()

    def loaded(self, level, threads=2, cost=0.5, eased=False):
        block_ms = Loaded(self.voice, self.steps, level, 0.0, ASKED).block.ms
        return Loaded(self.voice, self.steps, level, cost * block_ms, ASKED, eased=eased, threads=threads)

    def look(self, seconds):
        for _ in range(int(2 * seconds)):
            self.easing.look(0.5, self.meter)

    def take(self):
        wishes, self.wishes[:] = list(self.wishes), []
        return [(wish.level, wish.only_warm) for wish in wishes]


@pytest.fixture
def voice():
    return Voice()


def test_the_step_below_is_warmed_ahead(voice):
    voice.easing.plays(voice.loaded(0))
    assert voice.take() == [(1, True)]
    voice.easing.warmed(Warmed(voice.loaded(1)))
    assert voice.take() == []


def test_nets_never_run_on_more_threads_than_they_were_warmed_for(voice):
    voice.easing.plays(voice.loaded(0, threads=1))
    assert voice.easing.threads == 1
    assert voice.take() == [(0, True)]
    voice.easing.warmed(Warmed(voice.loaded(0, threads=2)))
    assert voice.easing.threads == 2


def test_threads_follow_the_crew(voice):
    voice.easing.plays(voice.loaded(0))
    voice.others, voice.meter.fullness = 2.0, 1.0
    voice.look(SEEN)
    assert voice.easing.threads == 1


def test_while_a_step_up_is_awaited_a_step_down_is_still_asked_for(voice):
    voice.easing.plays(voice.loaded(0))
    voice.easing.plays(voice.loaded(1, cost=0.4, eased=True))
    voice.take()
    voice.meter.fullness = 0.3
    voice.look(CALM_S + 5)
    assert voice.take() == [(0, False)]
    voice.meter.fullness = 1.1
    voice.look(10)
    asked = voice.take()
    assert len(asked) == 1
    assert asked[0][0] > 1
    voice.look(10)
    assert voice.take() == []  # one step down is awaited, that is enough
