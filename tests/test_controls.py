"""The table of controls: names, ranges, borders, and that one row is all that a control needs."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from rwc_daemon.controls import CHOICES, NAMES, NUMBERS, Controls, changed, dbus_name, known_name, parse
from rwc_daemon.errors import NoSuchControl, OutOfRange

ROOT = Path(__file__).parents[1]


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


ROW = """    breath: float = number(
        0.25, 0, 1, "share", "adds breath", remembered=True, command="breath", called="breath"
    )
"""
FOLLOW = """
import dataclasses, sys, types
module = types.ModuleType("rwc_daemon.controls")
sys.modules["rwc_daemon.controls"] = module
exec(compile(sys.stdin.read(), "controls.py", "exec"), module.__dict__)
from rwc_daemon.control import voice_settings
from rwc_daemon.host import state
from rwc_daemon.faces import dbus_types
from rwc_daemon.faces.cli import main
from rwc_daemon.faces.python import ConversionConfig, StreamingConverter
assert '<property name="Breath" type="d" access="readwrite"/>' in dbus_types.introspection()
parser = main.whole_parser()
assert parser.parse_args(["breath", "0.5"]).value == "0.5"
assert parser.parse_args(["convert", "a.wav", "-o", "b.wav", "--breath", "0.5"]).breath == "0.5"
commands = parser._subparsers._group_actions[0].choices
assert "breath          0 … 1 share: adds breath" in commands["set"].format_help()
assert "show or set breath" in main.overview()
saved = dataclasses.replace(state.Saved(), controls=module.changed(module.Controls(), {"Breath": "0.5"}))
assert state._parse(state._to_json(saved)).controls.breath == 0.5
class Store:
    def remembered(self, voice): return {"breath": 0.75} if voice == "ann" else {}
settings = voice_settings.VoiceSettings(Store(), {}, True)
assert settings.of("ann", saved.controls).breath == 0.75
converter = StreamingConverter(ConversionConfig())
converter.update(breath=1)
assert converter._controls.breath == 1
"""


def test_a_new_control_is_one_row():
    """Of the module's text only: D-Bus, `rwcctl`, files, saved state, what a voice remembers and Python follow."""
    path = ROOT / "rwc_daemon/controls.py"
    text = path.read_text()
    with_row = text.replace("    @property\n    def louder_db", ROW + "\n    @property\n    def louder_db")
    assert with_row != text
    done = subprocess.run(
        [sys.executable, "-c", FOLLOW], input=with_row, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
