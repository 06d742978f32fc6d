"""Which voice follows a failure: the last good one, the chosen first, `deep`; never `plain` uninvited."""

from __future__ import annotations

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
