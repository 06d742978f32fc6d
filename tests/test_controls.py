import math

import pytest

from rwc_daemon.controls import CHOICES, NAMES, NUMBERS, Controls, changed, dbus_name, known_name, parse
from rwc_daemon.errors import NoSuchControl, OutOfRange


def test_every_control_has_a_range_or_choices():
    assert set(NAMES) == set(NUMBERS) | set(CHOICES)
    for name, value in vars(Controls()).items():
        assert parse(name, value) == value


@pytest.mark.parametrize("written", ["gate_db", "gate-db", "GateDb"])
def test_names_are_known_in_every_spelling(written):
    assert known_name(written) == "gate_db"


def test_bus_names_lead_back():
    assert [known_name(dbus_name(name)) for name in NAMES] == list(NAMES)
    assert dbus_name("f0_method") == "F0Method"


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(NoSuchControl, match="did you mean 'pitch'"):
        known_name("pich")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 25, -24.5, "high", None, [], True, "1e400", 10**400])
def test_a_wrong_pitch_changes_nothing(bad):
    before = Controls(pitch=3.0)
    with pytest.raises(OutOfRange, match="-24 to 24 semitones"):
        changed(before, {"formant": 2, "pitch": bad})
    assert before == Controls(pitch=3.0)


def test_speaker_is_whole():
    assert changed(Controls(), {"speaker": "3"}).speaker == 3
    with pytest.raises(OutOfRange, match="whole number"):
        changed(Controls(), {"speaker": 1.5})


def test_choices_are_named():
    with pytest.raises(OutOfRange, match="low, balanced, high"):
        changed(Controls(), {"quality": "best"})
