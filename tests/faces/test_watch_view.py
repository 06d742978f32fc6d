"""The live view and the status, drawn from plain values."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from rwc_daemon.controls import Controls, to_dict
from rwc_daemon.faces.cli import show, status
from rwc_daemon.faces.cli.watch import as_line
from rwc_daemon.faces.cli.watch_view import HIGHEST_HZ, LOWEST_HZ, bar, place, view

LEVELS = {"in_db": -21.0, "out_db": -3.0}
REPORT: dict[str, Any] = {
    "state": "live",
    "voice": "deep",
    "loading": "",
    "mode": "convert",
    "input": "default",
    "input_node": "some_mic",
    "microphone": "loopback",
    "device": "cpu",
    "listeners": 2,
    "left_out": [],
    "latency_ms": 23.4,
    "latency": {"input": 2.7, "block": 10.7, "voice": 7.3, "slack": 2.7, "output": 0.0},
    "load": 0.13,
    "xruns": 0,
    "underruns": 1,
    "fault": {"code": "", "message": ""},
    "last_fault": {"code": "", "message": "", "age_s": 0.0},
    "controls": to_dict(Controls(pitch=2.0, gate_db=-45)),
    "statistics": {
        "pitch_in_hz": 118.2,
        "pitch_out_hz": 83.1,
        "rate_hz": 48000,
        "quantum_samples": 128,
        "capturing": True,
    },
}


BAR = 60
FAULT = "the microphone 'usb' is not there: plug it in, or choose another with `rwcctl input NAME` (`rwcctl inputs`)"


def drawn(report: dict[str, Any], columns: int = 104, lines: int = 40) -> str:
    console = Console(file=io.StringIO(), width=columns, height=lines)
    console.print(view(report, LEVELS, (columns, lines)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_view_shows_the_moment() -> None:
    text = drawn(REPORT)
    for part in ("live", "deep on cpu", "pitch +2", "gate_db -45", "some_mic", "-21.0 dB", "118.2 Hz", "83.1 Hz",
                 "23.4 ms", "voice 7.3", "13.0 %", "quantum 128"):  # fmt: skip
        assert part in text
    assert max(map(len, text.splitlines())) <= 104


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (80, 15), (60, 24), (60, 20), (40, 24), (40, 18), (32, 12)])
@pytest.mark.parametrize("fault", ["", FAULT])
def test_view_fits_the_terminal(columns: int, lines: int, fault: str) -> None:
    report = copy.deepcopy(REPORT) | {"fault": {"code": "NoSuchInput" if fault else "", "message": fault}}
    shown = drawn(report, columns, lines).splitlines()
    assert max(map(len, shown)) <= columns
    assert len(shown) <= lines
    assert "live" in shown[0]
    for part in ("-21.0 dB", "-3.0 dB", fault[:11]):
        assert part in "\n".join(shown)


def test_view_of_80_by_24_loses_no_figure() -> None:
    text = drawn(REPORT, 80, 24)
    for part in ("deep", "pitch +2", "some_mic", "118.2 Hz", "83.1 Hz", "23.4 ms", "slack 2.7", "13.0 %",
                 "late cycles 0", "quantum 128", "MB", "500"):  # fmt: skip
        assert part in text


def test_watch_into_a_pipe_is_one_line() -> None:
    line = as_line(REPORT | {"levels": LEVELS})
    assert line == "live deep  in -21.0 dB  out -3.0 dB  pitch 118 > 83 Hz  23.4 ms  load 13 %  underruns 1"
    assert as_line(REPORT | {"levels": LEVELS, "mode": "mute"}).startswith("live deep  mode mute  in ")


def test_view_shouts_bypass_and_faults() -> None:
    report = copy.deepcopy(REPORT) | {"mode": "bypass", "fault": {"code": "EngineFailed", "message": "it died"}}
    text = drawn(report)
    assert "UNPROCESSED voice" in text
    assert "it died" in text


def test_view_says_why_it_is_silent() -> None:
    statistics = REPORT["statistics"] | {"silence_message": "the microphone is muted: unmute it"}
    assert "the microphone is muted" in drawn(REPORT | {"statistics": statistics}, 60, 20)


def test_view_of_a_daemon_that_knows_nothing_yet() -> None:
    report = copy.deepcopy(REPORT) | {"state": "starting", "voice": "", "latency_ms": 0.0, "statistics": {}}
    text = drawn(report)
    assert "none yet" in text
    assert "known once somebody records" in text


@pytest.mark.parametrize("share", [-1.0, 0.0, 0.3, 0.999, 1.0, 7.0])
def test_bar_keeps_its_width(share: float) -> None:
    assert len(bar(share, BAR, "green").plain) == BAR


def test_ruler_is_even_in_octaves() -> None:
    assert place(LOWEST_HZ, BAR) == 0
    assert place(HIGHEST_HZ, BAR) == BAR - 1
    assert abs((place(200, BAR) - place(100, BAR)) - (place(400, BAR) - place(200, BAR))) <= 1


def test_status_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    status.write(REPORT)
    text = capsys.readouterr().out
    assert "23.4 ms = input 2.7 + block 10.7 + voice 7.3 + slack 2.7 + output 0.0" in text
    assert "\x1b" not in text, "colour only on a terminal"
    assert len({line.index(line.split(maxsplit=1)[1]) for line in text.splitlines()[1:]}) == 1, "aligned"


@pytest.mark.parametrize(
    ("chosen", "node", "note", "capturing", "says"),
    [
        ("default", "usb", "", True, "usb (the default source)"),
        ("default", "usb", "", False, "usb (the default source), opened when somebody records"),
        ("default", "", "no microphone is connected", True, "no microphone is connected"),
        ("default", "", "", False, "none is known yet"),
        ("usb", "usb", "", True, "usb"),
        ("usb", "laptop", "usb is not there", True, "laptop (usb is not there)"),
    ],
)
def test_input_in_words(chosen: str, node: str, note: str, capturing: bool, says: str) -> None:
    statistics = {"capturing": capturing, "input_note": note}
    report = REPORT | {"input": chosen, "input_node": node, "statistics": statistics}
    assert status.input_text(report) == says


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes the output a terminal of so many columns."""
    monkeypatch.setattr(show, "coloured", lambda: False)

    def be(columns: int) -> None:
        monkeypatch.setattr(show, "columns", lambda: columns)

    return be


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_status_and_tables_wrap_between_words(
    columns: int, terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    status.write(REPORT | {"fault": {"code": "x", "message": FAULT}})
    show.table(("", "voice", "kind"), [("*", "ann", "a voice of a kind with a long description"), ("", "bo", "rvc")])
    unwrapped = capsys.readouterr().out
    terminal(columns)
    status.write(REPORT | {"fault": {"code": "x", "message": FAULT}})
    show.table(("", "voice", "kind"), [("*", "ann", "a voice of a kind with a long description"), ("", "bo", "rvc")])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= columns
    assert sorted(text.split()) == sorted(unwrapped.split()), "no word is cut or lost"


def test_colours_take_no_room() -> None:
    painted = "\x1b[31mone two\x1b[0m three"
    assert show.wrapped(painted, 13) == [painted]
    assert show.wrapped("abcdefgh ij", 4) == ["abcd", "efgh", "ij"]


def test_sizes_and_durations() -> None:
    assert [show.size(n) for n in (0, 900, 57344, 1_900_000, 57_000_000)] == ["", "900 B", "57 kB", "1.9 MB", "57 MB"]
    assert [show.duration(s) for s in (5, 150, 7300)] == ["5 s", "2 min", "2 h 1 min"]
