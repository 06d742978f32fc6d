"""Which controls a voice begins with."""

from __future__ import annotations

from rwc_daemon.control.voice_settings import VoiceSettings
from rwc_daemon.controls import Controls

KEPT = {"ann": {"pitch": 5.0}}


class Store:
    def remembered(self, voice: str) -> dict[str, object]:
        return KEPT.get(voice, {})

    def remember(self, voice: str, settings: dict[str, object]) -> None:
        raise AssertionError("nothing is written here")


NOW = Controls(pitch=-7.0, speaker=4, f0_method="pm", formant=2.0, gate_db=-40.0, quality="low")


def playing(voice: str, on: bool = True) -> VoiceSettings:
    settings = VoiceSettings(Store(), {}, on, voice)
    settings.note(NOW)
    return settings


def test_a_voice_never_used_begins_with_the_defaults() -> None:
    """Speaker, tracker and pitch of the voice before are nothing to it; what belongs to the user stays."""
    user = Controls(gate_db=-40.0, quality="low")
    for before in ("deep", "bob"):
        assert playing(before).of("eve", NOW) == user
        assert playing(before).of("ann", NOW) == Controls(pitch=5.0, gate_db=-40.0, quality="low")
    assert playing("bob").of("deep", NOW) == user, "no built-in voice was used before"


def test_what_is_turned_while_it_loads_wins_and_the_playing_voice_keeps_its_own() -> None:
    settings = playing("bob")
    settings.ask("eve", {"pitch": 3.0})
    settings.turn({"speaker": 1})
    assert settings.of("eve", NOW) == Controls(pitch=3.0, speaker=1, gate_db=-40.0, quality="low")
    assert settings.of("bob", NOW) == NOW


def test_another_voice_that_comes_first_takes_nothing_from_the_one_that_is_asked_for() -> None:
    settings = playing("bob")
    settings.ask("eve", {"pitch": 3.0})
    settings.play("ann")
    assert settings.of("eve", NOW).pitch == 3.0
    settings.play("eve")
    assert settings.of("eve", NOW) == NOW


def test_without_remembering_every_voice_goes_on_with_what_is_set() -> None:
    assert playing("bob", on=False).of("eve", NOW) == NOW
