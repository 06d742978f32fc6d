"""The inference and loader threads on a real link, driven cycle by cycle, with voices made for tests."""

from __future__ import annotations

import numpy as np

from rwc_daemon.engine import loader
from rwc_daemon.engine.load_meter import LoadMeter
from rwc_daemon.messages import Configure, Planned, QualityReduced, RequestUnmet, SetSlack, VoiceFailed, VoiceOn
from rwc_daemon.plan import Block
from testkit.plain_voices import CostlyVoice, DelayVoice
from testkit.whole_engine import QUANTUM, RATE


def test_another_quality_is_another_stream_with_its_own_block(engine_of):
    engine = engine_of(CostlyVoice("net", {"low": 40, "balanced": 20, "high": 80}))
    engine.use("net")
    assert engine.expect(VoiceOn).voice == "net"
    engine.set(quality="high", pitch=3)
    planned = engine.expect(Planned)
    assert planned.block == 80 * 48
    engine.play(np.zeros(RATE // 2, np.float32))
    assert engine.session.seen.quality == "high"
    assert engine.session.seen.pitch == 3


def test_controls_that_need_no_new_stream_get_none(engine_of):
    engine = engine_of(CostlyVoice("net"))
    engine.use("net")
    engine.expect(VoiceOn)
    session = engine.session
    engine.set(pitch=5.0, envelope=0.2)
    engine.play(np.zeros(RATE // 2, np.float32))
    assert engine.session is session
    assert session.seen.pitch == 5.0


def test_a_tracker_that_cannot_be_had_is_said_and_the_voice_plays_on(engine_of):
    engine = engine_of(CostlyVoice("net", missing=("crepe",)))
    engine.use("net")
    engine.expect(VoiceOn)
    engine.set(f0_method="crepe")
    assert engine.expect(RequestUnmet).code == "MissingAsset"
    engine.play(np.zeros(RATE // 2, np.float32))
    assert engine.session.seen.f0_method == "auto"
    engine.set(f0_method="yin")
    assert engine.expect(RequestUnmet) == RequestUnmet()
    assert engine.session.seen.f0_method == "yin"


class Machine:
    """What blocks cost is told, not spent, so that a busy test machine is not what is tested."""

    def __init__(self, monkeypatch):
        self.slowness, self.engine = 1.0, None
        self._costs = {"low": 0.2, "balanced": 0.4, "high": 0.6}
        monkeypatch.setattr(LoadMeter, "load_p75", property(lambda meter: self._load()))
        monkeypatch.setattr(loader, "warm", lambda voice, plan, controls, *_: self._warm(plan, controls))

    def _load(self):
        return self.slowness * self._costs.get(getattr(self.engine.session, "made_for", ""), 0.0)

    def _warm(self, plan, controls):
        return self.slowness * self._costs[controls.quality] * plan.ms(plan.block)


def test_a_voice_too_slow_is_reduced_with_a_word_and_goes_back_when_there_is_room(engine_of, monkeypatch):
    machine = Machine(monkeypatch)
    engine = machine.engine = engine_of(CostlyVoice("net"))
    engine.set(quality="high")
    engine.use("net")
    engine.expect(VoiceOn)
    machine.slowness = 1.8
    assert "quality balanced" in engine.expect(QualityReduced).message
    machine.slowness = 3.0
    assert "quality low" in engine.expect(QualityReduced).message
    underruns = engine.link.counters().underruns
    machine.slowness = 1.0
    while engine.expect(QualityReduced).message:
        pass
    engine.play(np.zeros(RATE // 10, np.float32))
    assert engine.session.made_for == "high"
    assert engine.link.counters().underruns == underruns


def test_a_voice_that_is_known_to_be_too_slow_begins_with_less(engine_of, monkeypatch):
    """Nobody hears seconds of gaps first; and coming back to it, it begins where it stood."""
    machine = Machine(monkeypatch)
    machine.slowness = 4.0
    engine = machine.engine = engine_of(CostlyVoice("net"), DelayVoice(name="other"), budget_mb=1000)
    engine.set(quality="high")
    for _ in range(2):
        engine.use("net")
        assert "quality low" in engine.expect(QualityReduced).message
        engine.use("other")
        assert engine.expect(QualityReduced).message == ""
    assert engine.link.counters().skipped_samples == 0


def test_nets_leave_their_second_thread_to_other_programs_while_these_need_it(engine_of, monkeypatch):
    machine = Machine(monkeypatch)
    engine = machine.engine = engine_of(CostlyVoice("net"))
    engine.use("net")
    engine.expect(VoiceOn)
    assert engine.inference._thread_budget.threads == 2
    engine.busy = 1.0
    engine.play(np.zeros(3 * RATE, np.float32))
    assert engine.inference._thread_budget.threads == 1
    engine.busy = 0.1
    engine.play(np.zeros(8 * RATE, np.float32))
    assert engine.inference._thread_budget.threads == 2
    assert engine.said_nothing_of(QualityReduced)


def test_constant_latency_pads_and_says_what_it_needs(engine_of):
    engine = engine_of(DelayVoice(name="short", block=Block(5)), DelayVoice(name="long", block=Block(20), delay=300))
    engine.order(Configure(RATE, QUANTUM, 0.0, total=6000))
    engine.use("short")
    totals = []
    for voice in ("short", "long"):
        engine.use(voice)
        planned = engine.expect(Planned)
        while planned.block != (256 if voice == "short" else 896 + 128):
            planned = engine.expect(Planned)
        totals.append(planned.block + planned.slack + planned.delay)
        assert planned.needed < planned.slack
    assert totals == [6000, 6000]


def test_slack_asked_for_is_given_unless_it_was_meant_for_another_stream(engine_of):
    engine = engine_of(DelayVoice(name="one"))
    engine.use("one")
    first = engine.expect(Planned)
    engine.order(SetSlack(first.number + 1, 9999, 0))
    assert engine.expect(Planned).slack == first.slack
    engine.order(SetSlack(first.number, 1280, 0))
    assert engine.expect(Planned).slack == 1280


def test_the_engine_is_woken_for_a_first_block_that_is_partly_heard(engine_of):
    """After a change to another block size the next block lacks fewer samples than a whole one."""
    engine = engine_of(DelayVoice(name="short", block=Block(5)), DelayVoice(name="long", block=Block(47)))
    engine.use("short")
    engine.expect(VoiceOn)
    before = engine.link.counters().underruns
    engine.use("long")
    assert engine.expect(VoiceOn).voice == "long"
    engine.play(np.zeros(RATE, np.float32))
    assert engine.link.counters().underruns == before


def test_voices_used_last_are_not_read_again(engine_of):
    engine = engine_of(DelayVoice(name="a"), DelayVoice(name="b"), budget_mb=1000)
    for voice in ("a", "b", "a", "b"):
        engine.use(voice)
        assert engine.expect(VoiceOn).voice == voice
    assert engine.repository.loads == [("a", "auto"), ("b", "auto")]


def test_without_a_budget_only_the_newest_is_kept(engine_of):
    engine = engine_of(CostlyVoice("a", size=2**20), CostlyVoice("b", size=2**20))
    for voice in ("a", "b", "a"):
        engine.use(voice)
        assert engine.expect(VoiceOn).voice == voice
    assert [voice for voice, _ in engine.repository.loads] == ["a", "b", "a"]


def test_an_unknown_voice_is_refused(engine_of):
    engine = engine_of(DelayVoice(name="one"))
    engine.use("nobody")
    assert engine.expect(VoiceFailed).code == "NoSuchVoice"
