"""The levels of overload handling: pure logic, with a machine of known speed."""

from itertools import pairwise

import pytest

from rwc_daemon.controls import Controls
from rwc_daemon.engine.overload import LevelControl
from rwc_daemon.thresholds import THRESHOLDS as LIMITS
from rwc_daemon.voices.quality_ladder import QualityStep, ladder


class Machine:
    """Computes a block in `costs[level] * slowness` of its length; moves at once when told."""

    def __init__(self, *costs, known=False):
        self.costs, self.slowness = costs, 1.0
        self.control = LevelControl(len(costs))
        self.seen = []
        for level, cost in enumerate(costs if known else ()):
            self.control.note(level, cost)

    @property
    def load(self):
        return self.costs[self.control.level] * self.slowness

    def run(self, seconds):
        for _ in range(seconds):
            wanted = self.control.look(1.0, self.load, self.load > 1.2)
            if wanted != self.control.level:
                self.control.at(wanted)
                self.seen.append(wanted)
        return self.control.level


def test_context_goes_first_then_the_tracker_then_the_block():
    steps = ladder(Controls(quality="high", f0_method="rmvpe"), f0=True)
    assert steps[0] == QualityStep("high", "rmvpe")
    assert [step.quality for step in steps[:3]] == ["high", "balanced", "low"]
    assert [(step.quality, step.f0_method) for step in steps[3:5]] == [("low", "fcpe"), ("low", "yin")]
    assert [step.stretch for step in steps] == [1, 1, 1, 1, 1, 1.5, 2, 3]


def test_only_what_is_lighter_than_asked_is_on_the_ladder():
    assert ladder(Controls(quality="low", f0_method="yin"), f0=True)[1].stretch == 1.5
    assert all(step.f0_method == "rmvpe" for step in ladder(Controls(f0_method="rmvpe"), f0=False))
    assert all(step.f0_method == "auto" for step in ladder(Controls(), f0=True))


def test_other_controls_stay_the_users():
    controls = Controls(pitch=3, quality="high")
    reduced = ladder(controls, f0=True)[2].of(controls)
    assert (reduced.pitch, reduced.quality) == (3, "low")


def test_in_time_nothing_changes():
    machine = Machine(0.7, 0.5, 0.4)
    assert machine.run(1000) == 0
    assert machine.seen == []


def test_one_slow_second_is_a_hiccup():
    machine = Machine(0.5, 0.4)
    machine.run(10)
    machine.slowness = 5
    machine.run(1)
    machine.slowness = 1
    assert machine.run(20) == 0
    assert machine.seen == []


def test_overload_leads_down_until_it_fits_and_back_when_it_ends():
    machine = Machine(0.6, 0.5, 0.35, 0.3, known=True)
    machine.run(10)
    machine.slowness = 1.6
    assert machine.run(30) == 1
    machine.slowness = 2.2
    assert machine.run(30) == 2
    machine.slowness = 1
    assert machine.run(60) == 0
    assert machine.seen == [1, 2, 0]


def test_what_is_known_to_be_too_much_is_not_tried_on_the_way_down():
    machine = Machine(0.6, 0.59, 0.5, 0.3, known=True)
    machine.run(10)
    machine.slowness = 2.5
    machine.run(30)
    assert machine.seen == [3]


def test_a_step_that_is_not_cheaper_is_none():
    machine = Machine(0.6, 0.7, 0.4, known=True)
    machine.run(10)
    machine.slowness = 1.6
    machine.run(30)
    assert machine.seen == [2]


def test_a_step_that_cannot_be_had_is_passed_over():
    machine = Machine(0.6, 0.5, 0.4, known=True)
    machine.control.exclude(1)
    machine.slowness = 1.6
    machine.run(30)
    machine.slowness = 1
    machine.run(60)
    assert machine.seen == [2, 0]


def test_what_is_heard_already_is_answered_sooner():
    machine = Machine(0.6, 0.2)
    machine.run(10)
    machine.slowness = 3
    assert machine.run(2) == 1


@pytest.mark.parametrize(("slowness", "level"), [(1.6, 1), (2.5, 2)], ids=["overloaded", "severe"])
def test_where_voice_was_lost_a_step_leaves_room(slowness, level):
    machine = Machine(0.6, 0.3, 0.2, known=True)
    machine.run(10)
    machine.slowness = slowness
    machine.run(5)
    assert machine.seen == [level]


def test_too_much_for_every_step_stays_at_the_last():
    machine = Machine(0.6, 0.5)
    machine.slowness = 9
    assert machine.run(100) == 1
    assert machine.seen == [1]


def test_a_step_that_was_seen_not_to_fit_is_not_tried_again():
    machine = Machine(1.5, 0.6, known=True)
    machine.run(1000)
    assert machine.seen == [1]


def test_steps_up_that_fail_become_rare():
    """A cost that cannot be known before: what is above looks cheap, and is not."""
    control, ups, clock = LevelControl(2), [], 0
    while clock < 3600:
        clock += 1
        wanted = control.look(1.0, 0.3 if control.level else 2.0, False)
        if wanted < control.level:
            ups.append(clock)
        if wanted != control.level:
            control.at(wanted)
    waits = [b - a for a, b in pairwise(ups)]
    assert waits[-1] >= LIMITS.longest_recovery_s
    assert all(b >= a for a, b in pairwise(waits))
    assert len(ups) < 15


def test_words_for_what_is_less():
    asked = QualityStep("high", "rmvpe")
    assert QualityStep("low", "fcpe", 2).less_than(asked, 480) == "quality low, tracker fcpe, blocks of 480 ms"
    assert asked.less_than(asked, 240) == ""


@pytest.mark.parametrize("quality", ["low", "balanced", "high"])
@pytest.mark.parametrize("method", ["auto", "rmvpe", "fcpe", "crepe", "harvest", "yin"])
def test_every_ladder_begins_as_asked_and_never_repeats_itself(quality, method):
    steps = ladder(Controls(quality=quality, f0_method=method), f0=True)
    assert steps[0] == QualityStep(quality, method)
    assert len(set(steps)) == len(steps)
