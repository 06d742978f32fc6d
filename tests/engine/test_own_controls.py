"""A loaded voice begins with its own controls: one warm-up, one stream, and the right sound from its first block on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rwc_daemon.controls import Controls, to_dict
from rwc_daemon.engine.load_request import StreamConfig
from rwc_daemon.messages import RequestUnmet, VoiceOn
from testkit.plain_voices import CostlySession, CostlyVoice
from testkit.whole_engine import OPEN


class NotingSession(CostlySession):
    """Notes the controls of every block."""

    def __init__(self, voice, plan):
        super().__init__(voice, plan)
        self.blocks = []

    def convert(self, x, controls, silent=False):
        self.blocks.append(controls)
        return super().convert(x, controls, silent)


class NotingVoice(CostlyVoice):
    def open(self, plan, controls, seed=0):
        super().open(plan, controls, seed)
        self.sessions[-1] = NotingSession(self, plan)
        self.sessions[-1].made_for = (controls.quality, controls.f0_method, controls.speaker)
        return self.sessions[-1]


OWN = replace(OPEN, pitch=5.0, f0_method="yin", speaker=2)


def set_own(engine, voice, controls):
    config = engine.stream_config.with_controls(to_dict(controls), voice)
    engine.order(config)
    engine.stream_config = config


@pytest.fixture
def pair(engine_of):
    """An engine that plays `a`, and has `b`."""
    a, b = NotingVoice("a"), NotingVoice("b", missing=("rmvpe",))
    engine = engine_of(a, b, budget_mb=1000)
    engine.use("a")
    engine.expect(VoiceOn)
    return engine, a, b


def switch_to_b(engine):
    engine.use("b")
    assert engine.expect(VoiceOn).voice == "b"
    engine.expect_blocks(4)
    engine.settle()


def test_one_warm_up_and_the_first_block_is_right(pair):
    engine, a, b = pair
    set_own(engine, "b", OWN)
    switch_to_b(engine)
    made = [session.made_for for session in b.sessions]
    assert made.count(("balanced", "yin", 2)) == 2  # warmed, played; the lighter step is warmed ahead
    assert {speaker for _, _, speaker in made} == {2}
    assert {controls.pitch for controls in engine.session.blocks} == {5.0}
    assert {controls.pitch for session in a.sessions for controls in session.blocks} == {0.0}


def test_what_is_turned_while_it_loads_wins(pair):
    engine, _, _ = pair
    set_own(engine, "b", OWN)
    engine.use("b")
    set_own(engine, "b", replace(OWN, pitch=-3.0, speaker=7))
    engine.expect_voice("b")
    engine.expect_until(lambda: engine.session.made_for == ("balanced", "yin", 7))
    engine.expect_blocks(2)
    assert {controls.pitch for controls in engine.session.blocks} == {-3.0}


def test_controls_of_another_voice_are_no_concern_of_the_playing_one(pair):
    engine, a, _ = pair
    playing, warmed = engine.session, len(a.sessions)
    set_own(engine, "b", OWN)
    engine.expect_blocks(4)
    engine.settle()
    assert engine.session is playing
    assert len(a.sessions) == warmed
    assert playing.blocks[-1].pitch == 0.0


def test_a_voice_that_has_lost_its_tracker_plays_with_another_and_says_so(pair):
    engine, _, _ = pair
    set_own(engine, "b", replace(OWN, f0_method="rmvpe"))
    engine.use("b")
    engine.expect_voice("b")
    unmet = engine.expect(RequestUnmet)
    assert (unmet.code, "rmvpe" in unmet.message) == ("MissingAsset", True)
    assert engine.session.made_for == ("balanced", "auto", 2)
    engine.use("a")
    engine.expect_voice("a")
    assert engine.expect(RequestUnmet) == RequestUnmet()


def test_a_config_knows_each_voice_and_forgets_them_all_at_once():
    config = StreamConfig(Controls()).with_controls({"pitch": 2.0}, "a")
    assert (config.of("a").pitch, config.of("b").pitch) == (2.0, 0.0)
    assert config.with_controls({"pitch": 1.0}).of("a").pitch == 1.0
