"""What is asked of the loader while a costly voice plays, and on how many threads its nets may run."""

import pytest

from rwc_daemon.controls import Controls
from rwc_daemon.engine.load_request import LoadedVoice, PrewarmedStep, steps_of
from rwc_daemon.engine.overload import OverloadController
from rwc_daemon.engine.thread_budget import ThreadBudget
from rwc_daemon.thresholds import THRESHOLDS as LIMITS
from testkit.plain_voices import CostlyVoice, DelayVoice

ASKED = Controls(quality="balanced")


class Meter:
    """As loaded as it is told to be."""

    load_p75, skipped = 0.5, 0


class Voice:
    """An OverloadController, a voice, and a loader that does nothing by itself."""

    def __init__(self):
        self.others, self.requests, self.said = 0.0, [], []
        self.voice = CostlyVoice("net")
        self.steps = steps_of(self.voice, ASKED)
        self.overload = OverloadController(
            ThreadBudget(2, 2, lambda: self.others), self.requests.append, self.said.append
        )
        self.meter = Meter()

    def loaded(self, level, threads=2, cost=0.5, reduced=False):
        block_ms = LoadedVoice(self.voice, self.steps, level, 0.0, ASKED).block.ms
        return LoadedVoice(self.voice, self.steps, level, cost * block_ms, ASKED, reduced=reduced, threads=threads)

    def look(self, seconds):
        for _ in range(int(2 * seconds)):
            self.overload.look(0.5, self.meter)

    def take(self):
        requests, self.requests[:] = list(self.requests), []
        return [(request.level, request.prewarm_only) for request in requests]


@pytest.fixture
def voice():
    return Voice()


def test_the_step_below_is_warmed_ahead(voice):
    voice.overload.plays(voice.loaded(0))
    assert voice.take() == [(1, True)]
    voice.overload.warmed(PrewarmedStep(voice.loaded(1)))
    assert voice.take() == []


def test_nets_never_run_on_more_threads_than_they_were_warmed_for(voice):
    voice.overload.plays(voice.loaded(0, threads=1))
    assert voice.overload.threads == 1
    assert voice.take() == [(0, True)]
    voice.overload.warmed(PrewarmedStep(voice.loaded(0, threads=2)))
    assert voice.overload.threads == 2


def test_threads_follow_the_budget(voice):
    voice.overload.plays(voice.loaded(0))
    voice.others, voice.meter.load_p75 = 2.0, 1.0
    voice.look(LIMITS.crowded_looks)
    assert voice.overload.threads == 1


def test_while_a_step_up_is_awaited_a_step_down_is_still_asked_for(voice):
    voice.overload.plays(voice.loaded(0))
    voice.overload.plays(voice.loaded(1, cost=0.4, reduced=True))
    voice.take()
    voice.meter.load_p75 = 0.3
    voice.look(LIMITS.recovery_s + 5)
    assert voice.take() == [(0, False)]
    voice.meter.load_p75 = 1.1
    voice.look(10)
    asked = voice.take()
    assert len(asked) == 1
    assert asked[0][0] > 1
    voice.look(10)
    assert voice.take() == []  # one step down is awaited, that is enough


class Lossy:
    """A light voice's meter: its load, and what was lost in each look."""

    def __init__(self):
        self.load, self.lost_s, self.skipped, self.load_p75 = 0.1, 0.0, 0, 0.1

    def lose(self, seconds):
        self.lost_s += seconds
        self.skipped += round(48000 * seconds)


class Light(Voice):
    """Nothing to warm: the loader answers at once."""

    def __init__(self):
        self.requests, self.said = [], []
        self.voice = DelayVoice(name="light")
        self.steps = steps_of(self.voice, ASKED)
        self.overload = OverloadController(ThreadBudget(1, 1, lambda: 0.0), self.requests.append, self.said.append)
        self.meter = Lossy()
        self.level = 0
        self.overload.plays(self.loaded(0, threads=1, cost=0.1))

    def look(self, seconds, lost=0.0):
        """`lost`: of what came in."""
        for _ in range(int(2 * seconds)):
            self.meter.lose(0.5 * lost)
            super().look(0.5)
            for level, _ in self.take():
                self.level = level
                self.overload.plays(self.loaded(level, threads=1, cost=0.1, reduced=True))
        return self.level


def test_single_late_blocks_of_a_light_voice_are_no_reason_for_longer_ones():
    light = Light()
    assert light.look(60, lost=0.05) == 0


def test_a_starved_light_voice_takes_longer_blocks_one_step_at_a_time_and_gives_them_back():
    light = Light()
    assert light.look(3, lost=0.6) == 1
    assert light.look(3, lost=0.6) == 2
    assert light.look(60) == 0


def test_a_light_voice_that_takes_as_long_as_it_lasts_and_loses_some_takes_longer_blocks():
    light = Light()
    light.meter.load = 1.05
    assert light.look(10) == 0, "it loses nothing"
    assert light.look(3, lost=0.05) == 1


def test_a_light_voice_begins_again_as_it_was_asked_after_a_rest():
    light = Light()
    light.look(3, lost=0.6)
    light.overload.suspends()
    assert light.take() == [(0, False)]
    light.overload.plays(light.loaded(0, threads=1, cost=0.1, reduced=True))
    light.overload.suspends()
    assert light.take() == []
