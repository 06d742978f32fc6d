"""Causes of silence from what is known: cards as pw-dump shows them, and seconds of listening.

The cards are written after what pw-dump of PipeWire 0.3.65 prints for such machines; none could be recorded here.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rwc_daemon.audio.graph import Graph, changed
from rwc_daemon.audio.mixer import Mixer
from rwc_daemon.control.silence.hearing import Hearing
from rwc_daemon.control.silence.look import look
from rwc_daemon.control.silence.observed import Observed, ObservedRecorder, SoundSeen
from rwc_daemon.control.silence.table import first
from rwc_daemon.control.stats import Levels

CARDS = Path(__file__).parents[1] / "audio/cards"
BUILT_IN = "alsa_input.pci-0000_00_1f.3.analog-stereo"
LAPTOP = "alsa_input.pci-0000_00_1f.3-platform-skl_hda_dsp_generic.HiFi__hw_sofhdadsp_6__source"
HEADSET = "alsa_input.pci-0000_00_1f.3-platform-skl_hda_dsp_generic.HiFi__hw_sofhdadsp__source"
WELL = Observed(
    microphone=Mixer(), input="usb", input_description="USB", input_mixer=Mixer(state="running"), side="left"
)


def card(name: str) -> list[dict]:
    return json.loads((CARDS / f"{name}.json").read_text())


def cause(seen: Observed) -> str:
    found = first(seen)
    return found.name if found else ""


@pytest.mark.parametrize(
    ("recording", "node", "way"),
    [
        ("desktop_nothing_plugged_in", BUILT_IN, "Rear Microphone"),
        ("laptop_privacy_switch", LAPTOP, "Digital Microphone"),
    ],
)
def test_a_way_in_that_is_not_there_is_named(recording: str, node: str, way: str) -> None:
    graph = changed(Graph(), card(recording))
    seen = replace(look(graph, node), sound=SoundSeen(zero_s=3.0))
    found = first(seen)
    assert found
    assert found.name == "input-unplugged"
    assert f"'{way}'" in found.message
    assert "privacy switch" in found.message
    assert cause(replace(seen, sound=SoundSeen(zero_s=0.0))) == ""  # it is heard all the same


def test_a_plug_that_is_put_in_ends_it() -> None:
    batch = card("desktop_nothing_plugged_in")
    graph = changed(Graph(), batch)
    for route in batch[0]["info"]["params"]["Route"]:
        route["available"] = "yes"
    graph = changed(graph, batch[:1])
    assert cause(look(graph, BUILT_IN)) == ""
    assert changed(graph, [{"id": 42, "info": None}]).jacks == {}


def test_another_end_of_the_same_card_is_judged_by_itself() -> None:
    graph = changed(Graph(), card("laptop_privacy_switch"))
    seen = look(graph, HEADSET)
    assert seen.input_mixer.muted
    assert seen.input_mixer.percent == pytest.approx(40)
    assert cause(seen) == "input-muted"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (WELL, ""),
        (replace(WELL, sound=SoundSeen(heard_s=100)), ""),
        (replace(WELL, microphone=Mixer(muted=True), mode="mute"), "rwc-mic-muted"),
        (replace(WELL, mode="mute", input_mixer=Mixer(muted=True)), "mute"),
        (replace(WELL, input_mixer=Mixer(muted=True)), "input-muted"),
        (replace(WELL, input_mixer=Mixer(muted=True), sound=SoundSeen()), ""),
        (replace(WELL, input_mixer=Mixer(1e-6), sound=SoundSeen(faint_s=3)), "input-low"),
        (replace(WELL, input_mixer=Mixer(1e-6), sound=SoundSeen(heard_s=9)), ""),
        (replace(WELL, input_mixer=Mixer(0.008), sound=SoundSeen(heard_s=20, soft_s=16)), "input-low"),
        (replace(WELL, input_mixer=Mixer(0.3), sound=SoundSeen(heard_s=20, soft_s=16)), ""),
        (replace(WELL, input_mixer=Mixer(state="suspended")), ""),
        (replace(WELL, input_mixer=Mixer(state="suspended"), sound=SoundSeen(zero_s=7)), "input-asleep"),
        (replace(WELL, channel="left", sound=SoundSeen(zero_s=3, beside_s=3)), "one-sided"),
        (replace(WELL, channel="auto", sound=SoundSeen(zero_s=3, beside_s=3)), ""),
        (replace(WELL, sound=SoundSeen(zero_s=7)), "input-dead"),
        (replace(WELL, sound=SoundSeen(zero_s=7, heard_s=20)), ""),
        (replace(WELL, sound=SoundSeen(zero_s=31, heard_s=20)), "input-dead"),
        (replace(WELL, sound=SoundSeen(dumb_s=31, heard_s=60)), "nothing-converted"),
        (replace(WELL, mode="bypass", sound=SoundSeen(dumb_s=31, heard_s=60)), ""),
        (replace(WELL, sound=SoundSeen(gated_s=31, heard_s=60)), "below-gate"),
        (replace(WELL, recorders=(ObservedRecorder("Chrome", Mixer(0.0)),)), "recorder-off"),
        (replace(WELL, input="", sound=SoundSeen(zero_s=99)), ""),
    ],
)
def test_the_cause_is(seen: Observed, expected: str) -> None:
    assert cause(seen) == expected


def test_one_muted_program_of_two_is_no_fault() -> None:
    both = (ObservedRecorder("Chrome", Mixer(muted=True)), ObservedRecorder("OBS", Mixer()))
    found = first(replace(WELL, recorders=both))
    assert found
    assert "'Chrome'" in found.message
    assert not found.fault


def test_every_cause_says_what_it_is_and_what_to_do() -> None:
    silent = replace(WELL, sound=SoundSeen(zero_s=99))
    for seen in (silent, replace(silent, input_mixer=Mixer(muted=True)), replace(silent, mode="mute")):
        found = first(seen)
        assert found
        text, _, cure = found.message.rpartition(": ")
        assert text or "because" in found.message
        assert cure
        assert "\n" not in found.message


def test_seconds_are_counted_and_a_new_microphone_begins_again() -> None:
    hearing = Hearing()
    for _ in range(4):
        hearing.take(Levels(), 1.0, ("usb", "left"), -60.0)
    assert hearing.sound == SoundSeen(zero_s=3, faint_s=3, soft_s=3, gated_s=3)
    hearing.take(Levels(-20, -20, -120), 1.0, ("usb", "left"), -60.0)
    assert hearing.sound == SoundSeen(heard_s=1)
    hearing.take(Levels(-100, -120, -20), 1.0, ("usb", "left"), -60.0)
    assert hearing.sound == SoundSeen(faint_s=1, soft_s=1, beside_s=1, gated_s=1, heard_s=2)
    hearing.take(Levels(-20, -120, -20), 1.0, ("usb", "left"), -60.0)
    assert hearing.sound == SoundSeen(dumb_s=1, heard_s=3)
    hearing.take(Levels(-20, -20, -20), 1.0, ("usb", "right"), -60.0)
    assert hearing.sound == SoundSeen()
