"""Which voice follows a failure: the last good one, the chosen first, `deep`; never `plain` uninvited."""

from __future__ import annotations

from itertools import pairwise

from rwc_daemon.control.slack import CALM_S, REMEMBERED, WARM_S, SlackControl
from rwc_daemon.control.voice_selection import Fallback, VoiceSelection


def playing(*voices: str, first: str = "deep") -> VoiceSelection:
    """Each was asked for, came on and proved itself."""
    choice = VoiceSelection("", first)
    for voice in voices:
        choice.ask(voice)
        choice.on(voice)
        choice.proved()
    return choice


def test_the_first_start_takes_the_first_voice() -> None:
    assert VoiceSelection("", "deep").wanted == "deep"
    assert VoiceSelection("ann", "deep").wanted == "ann"


def test_a_voice_that_cannot_be_loaded_leaves_the_old_one() -> None:
    choice = playing("robot")
    choice.ask("ann")
    assert (choice.playing, choice.loading) == ("robot", "ann")
    assert choice.failed("ann", engine_plays="robot") is None
    assert (choice.wanted, choice.playing, choice.loading) == ("robot", "robot", "")


def test_a_voice_gone_since_yesterday_gives_way_to_the_first() -> None:
    choice = VoiceSelection("ann", "bright")
    assert choice.failed("ann", engine_plays="") == Fallback("bright", blamed="ann")
    assert choice.wanted == "bright"


def test_an_old_failure_changes_nothing() -> None:
    choice = playing("robot")
    choice.ask("ann")
    choice.ask("bob")
    assert choice.failed("ann", engine_plays="robot") is None
    assert (choice.wanted, choice.loading) == ("bob", "bob")


def test_one_death_is_ordinary_and_two_condemn() -> None:
    choice = playing("robot")
    choice.ask("ann")
    choice.on("ann")
    assert choice.died(own_fault=True) == Fallback("ann")
    choice.on("ann")
    assert choice.died(own_fault=True) == Fallback("robot", blamed="ann")


def test_a_voice_that_dies_while_it_loads_is_the_one_to_blame() -> None:
    choice = playing("robot")
    choice.ask("ann")
    assert choice.died(own_fault=True) == Fallback("ann")
    assert choice.died(own_fault=True) == Fallback("robot", blamed="ann")


def test_kills_from_outside_are_nobodys_fault() -> None:
    choice = playing("robot")
    for _ in range(50):
        assert choice.died(own_fault=False) == Fallback("robot")


def test_a_proof_wipes_the_slate() -> None:
    choice = playing("ann")
    for _ in range(5):
        assert choice.died(own_fault=True) == Fallback("ann")
        choice.on("ann")
        choice.proved()


def test_the_way_back_never_ends_at_plain() -> None:
    choice = VoiceSelection("", "deep")
    seen = []
    for _ in range(20):
        verdict = choice.died(own_fault=True)
        choice.on(verdict.voice)
        seen.append(verdict.voice)
    assert "plain" not in seen
    assert set(seen) <= {"deep", "bright", "robot"}


def test_a_chosen_plain_comes_back() -> None:
    choice = playing("plain")
    assert choice.died(own_fault=False).voice == "plain"


def warm(slack: SlackControl) -> SlackControl:
    """Past its first two seconds."""
    assert not slack.look(WARM_S, underruns=9, compute_max_ms=99.0, quiet=True)
    return slack


def test_slack_forgives_what_began_while_a_stream_was_cold() -> None:
    slack = SlackControl(48000, 256, start=256, least=0, most=48000)
    assert not slack.look(WARM_S - 0.1, 1, 99.0, quiet=True)
    assert not slack.look(1.0, 1, 99.0, quiet=True)
    assert slack.look(1.0, 1, 99.0, quiet=True)


def test_slack_grows_with_gaps_and_shrinks_after_calm_at_quiet_moments() -> None:
    slack = warm(SlackControl(48000, 256, start=256, least=0, most=48000))
    seen = []
    for _ in range(4):
        slack.look(1, underruns=1, compute_max_ms=20.0, quiet=False)
        seen.append(slack.samples // 256)
    assert seen == [2, 4, 5, 6]  # 960 samples of computing are 4 quanta, and one beyond
    steps = [slack.samples]
    for _ in range(int((REMEMBERED + 6) * CALM_S)):
        if slack.look(1, underruns=0, compute_max_ms=1.0, quiet=True):
            steps.append(slack.samples)
    assert all(before - after == 256 for before, after in pairwise(steps))
    assert steps[-1] == 2 * 256


def test_slack_remembers_bursts_that_are_further_apart_than_calm_is_long() -> None:
    slack = warm(SlackControl(48000, 128, start=4800, least=0, most=48000))
    for second in range(900):
        slack.look(1, 0, compute_max_ms=90.0 if second % 100 == 0 else 50.0, quiet=True)
        assert slack.samples >= 4320 + 128
    for _ in range(900):
        slack.look(1, 0, compute_max_ms=50.0, quiet=True)
    assert slack.samples <= 2400 + 2 * 128


def test_slack_does_not_shrink_while_somebody_speaks() -> None:
    slack = warm(SlackControl(48000, 256, start=2560, least=0, most=48000))
    assert not any(slack.look(1, 0, 0.0, quiet=False) for _ in range(400))
    assert slack.samples == 2560


def test_slack_is_bounded() -> None:
    slack = warm(SlackControl(48000, 1024, start=0, least=2000, most=9000))
    assert slack.samples == 2048
    for _ in range(50):
        slack.look(1, 1, 400.0, False)
    assert slack.samples == 8 * 1024
