"""rwcctl against a real daemon in a real audio session: what it does, and that what it refuses changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from testkit.running import Running, running_daemon

DONE, FAILED, USAGE = 0, 1, 2


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_daemon(tmp_path_factory.mktemp("session")) as running:
        yield running


@pytest.fixture
def unchanged(daemon: Running) -> Iterator[None]:
    """What a user sees before and after is the same."""
    before = seen(daemon)
    yield
    assert seen(daemon) == before


def seen(daemon: Running) -> dict:
    report = daemon.json("status")
    return {key: report[key] for key in ("state", "voice", "loading", "mode", "input", "controls")}


def refused(done: subprocess.CompletedProcess[str], status: int = FAILED) -> str:
    assert done.returncode == status, (done.stdout, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("rwcctl: ")
    assert done.stdout == ""
    return lines[0]


def until(what: Callable[[], bool], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_status_in_words_and_json(daemon: Running) -> None:
    text = daemon.rwcctl("status").stdout
    report = daemon.json("status")
    assert report["state"] in ("idle", "live")
    assert report["microphone"] == "loopback"
    for part in (report["voice"], "pitch", "latency", "listeners", "xruns", "server"):
        assert part in text


def test_voices_and_use(daemon: Running) -> None:
    listed = [voice["id"] for voice in daemon.json("voices")]
    assert listed[:7] == ["plain", "deep", "bright", "giant", "tiny", "robot", "whisper"]
    for voice in ("robot", "deep"):
        done = daemon.rwcctl("use", voice)
        assert done.returncode == DONE, done.stderr
        assert f"'{voice}' converts now" in done.stdout
        assert daemon.json("status")["voice"] == voice
        assert [v["id"] for v in daemon.json("voices") if v["current"]] == [voice]
    assert daemon.json("voice", "tiny")["kind"] == "builtin"
    assert daemon.json("voice")["id"] == "deep"


def test_what_a_voice_needs_is_said_by_the_daemon_too(daemon: Running, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from testkit.makers import make_index, make_voice

    voice = make_voice(tmp_path, applio=True, name="spinner", embedder_model="spin")
    (tmp_path / "bad.index").write_bytes(b"IxPT" + bytes(100))
    done = daemon.rwcctl("import", str(voice), str(tmp_path / "bad.index"))
    assert done.returncode == DONE, done.stderr
    told = daemon.rwcctl("voice", "spinner").stdout
    for text in (done.stdout, told):
        assert "plays without its index: bad.index: an index of the kind 'IxPT' cannot be read" in text
        assert "`rwcctl assets add PATH --name spin`" in text
    assert "index         none" in told
    found = daemon.json("voice", "spinner")  # as D-Bus gives it
    assert (found["embedder"], found["index_vectors"], len(found["notes"])) == ("spin", 0, 2)
    # the same file again, with an index that can be read: the index is taken, the voice is not doubled
    again = daemon.json("import", str(voice), str(make_index(tmp_path)))
    assert [one["id"] for one in again["voices"]] == ["spinner"]
    assert again["left_out"] == [
        "spinner.pth is here already as 'spinner', the same file: --name NAME makes a second voice of it"
    ]
    assert "index         200 vectors" in daemon.rwcctl("voice", "spinner").stdout
    assert daemon.rwcctl("remove", "spinner").returncode == DONE


def test_pitch_absolute_and_relative(daemon: Running) -> None:
    assert daemon.json("pitch", "3") == {"pitch": 3.0}
    assert daemon.json("pitch", "--by", "+2") == {"pitch": 5.0}
    assert daemon.json("pitch", "--by", "-4.5") == {"pitch": 0.5}
    assert daemon.json("pitch", "-2") == {"pitch": -2.0}
    assert daemon.rwcctl("formant", "1.5").stdout == "formant 1.5 semitones\n"
    assert daemon.json("get", "pitch") == {"pitch": -2.0}
    daemon.rwcctl("reset")
    assert daemon.json("get")["pitch"] == 0.0


def test_set_and_get_every_control(daemon: Running) -> None:
    wanted = {"index_rate": "0.5", "protect": "0.2", "envelope": "0.1", "gate_db": "-50", "input_gain_db": "6",
              "output_gain_db": "-3", "f0_method": "yin", "quality": "low"}  # fmt: skip
    for name, value in wanted.items():
        assert daemon.rwcctl("set", name, value).returncode == DONE
    now = daemon.json("get")
    assert {name: str(now[name]).removesuffix(".0") for name in wanted} == wanted
    assert daemon.rwcctl("set", "GateDb", "-60").returncode == DONE
    daemon.rwcctl("reset")


def test_mute_and_mode(daemon: Running) -> None:
    assert daemon.json("mute") == {"mode": "mute"}
    assert daemon.json("mode") == {"mode": "mute"}
    assert "mute" in daemon.rwcctl("status").stdout
    assert daemon.json("unmute") == {"mode": "convert"}
    assert daemon.json("mode", "bypass", "--yes") == {"mode": "bypass"}
    assert "UNPROCESSED" in daemon.rwcctl("status").stdout
    assert daemon.json("mode", "convert") == {"mode": "convert"}


def test_inputs(daemon: Running) -> None:
    names = [found["name"] for found in daemon.json("inputs")]
    assert "fake_mic" in names
    assert "rwc_mic" not in names
    assert daemon.json("input", "fake_mic") == {"input": "fake_mic", "channel": "auto"}
    assert daemon.json("input", "default") == {"input": "default", "channel": "auto"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("use", "dep"), "deep"),
        (("use", "zzzzzz"), "deep"),
        (("voice", "robott"), "robot"),
        (("remove", "nobody"), "nobody"),
        (("pitch", "25"), "-24 to 24"),
        (("pitch", "nan"), "-24 to 24"),
        (("pitch", "inf"), "-24 to 24"),
        (("pitch", "abc"), "-24 to 24"),
        (("pitch", "--by", "nan"), "--by"),
        (("pitch", "--by", "40"), "-24 to 24"),
        (("set", "protect", "0.7"), "0 to 0.5"),
        (("set", "speaker", "1.5"), "whole number"),
        (("set", "gatedb", "-40"), "gate_db"),
        (("set", "volume", "13"), "-30 to 12"),
        (("set", "loudness", "3"), "known"),
        (("set", "quality", "best"), "balanced"),
        (("get", "pich"), "pitch"),
        (("input", "no_such_mic"), "no_such_mic"),
        (("input", "rwc_mic"), "rwc_mic"),
        (("mode", "bypass"), "--yes"),
    ],
    ids=" ".join,
)
def test_bad_input_is_refused(daemon: Running, unchanged: None, words: tuple[str, ...], expected: str) -> None:
    """A value or word that is wrong is wrong usage; a voice or microphone that is not there is a failed request."""
    names_something = words[0] in ("use", "remove", "voice", "input")
    assert expected in refused(daemon.rwcctl(*words), FAILED if names_something else USAGE)


def test_demo_is_played_where_there_is_an_output(daemon: Running, tmp_path: Path) -> None:
    tone = tmp_path / "out.wav"
    soundfile.write(tone, 0.3 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000), 48000)
    play = f"from pathlib import Path; from rwc_daemon.faces.cli.demo import *; play(find_player(), Path('{tone}'))"
    module = daemon.run("pactl", "load-module", "module-null-sink", "sink_name=ear").stdout.strip()
    recorded = tmp_path / "heard.raw"
    command = daemon.enter("parec", "-d", "ear.monitor", "--format=float32le", "--channels=1", "--latency-msec=20")
    with recorded.open("wb") as file, subprocess.Popen(command, stdout=file) as recorder:
        until(lambda: recorded.stat().st_size > 0)
        done = daemon.run(sys.executable, "-c", play)
        recorder.terminate()
    heard = np.fromfile(recorded, np.float32)
    assert done.returncode == 0, done.stderr
    assert np.count_nonzero(np.abs(heard) > 0.2) > 10000
    assert "not a microphone" in daemon.rwcctl("input", "ear.monitor").stdout
    daemon.rwcctl("input", "default")
    daemon.run("pactl", "unload-module", module)
    assert daemon.json("status")["input"] == "default"


def test_a_second_daemon_says_so(daemon: Running, unchanged: None) -> None:
    done = daemon.run("rwc-daemon", "--foreground")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_unreadable_config(daemon: Running, unchanged: None, tmp_path: Path) -> None:
    bad = tmp_path / "config.toml"
    bad.write_text("[audio]\nlissen = 'auto'\n")
    done = daemon.run("rwc-daemon", "--config", str(bad))
    assert done.returncode != DONE
    assert "listen" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_doctor(daemon: Running) -> None:
    report = daemon.json("doctor")
    assert report["well"], [finding for finding in report["findings"] if finding["state"] == "bad"]
    parts = {finding["part"] for finding in report["findings"]}
    assert {"pipewire", "session", "pulse", "libjack", "node", "daemon", "voice", "realtime", "gpu"} <= parts


def test_watch_as_json(daemon: Running) -> None:
    done = daemon.rwcctl("watch", "--json", "--seconds", "2.2")
    moments = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(moments) == 2
    assert {"in_db", "out_db"} <= set(moments[0]["levels"])


def test_latency_within_one_quantum_of_the_sum(daemon: Running, unchanged: None) -> None:
    found = daemon.json("latency")
    assert found["likeness"] > 0.7
    assert abs(found["measured_ms"] - found["sum_ms"]) <= found["quantum_ms"], found


def test_latency_that_was_added_is_given_back(daemon: Running) -> None:
    assert daemon.json("latency", "--reset")["reset"] is True
    assert daemon.json("status")["statistics"]["latency_note"] == ""


def test_demo_writes_three_files(daemon: Running, unchanged: None, tmp_path: Path) -> None:
    done = daemon.json("demo", "--voice", "giant", "-o", str(tmp_path / "demo"))
    assert [Path(file).name for file in done["files"]] == ["in.wav", "out.wav", "demo.png"]
    spoken, rate = soundfile.read(tmp_path / "demo" / "in.wav")
    heard, heard_rate = soundfile.read(tmp_path / "demo" / "out.wav")
    assert rate == heard_rate
    assert len(spoken) == len(heard) > 5 * rate
    loudness = np.sqrt(np.mean(heard**2)) / np.sqrt(np.mean(spoken**2))
    assert 0.2 < loudness < 5
    assert (tmp_path / "demo" / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert 0 < done["latency"]["measured_ms"] < 100
    until(lambda: daemon.json("status")["voice"] == "deep")


def test_demo_into_a_folder_that_cannot_be(daemon: Running, unchanged: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "-o" in refused(daemon.rwcctl("demo", "-o", str(tmp_path / "file" / "below")))
