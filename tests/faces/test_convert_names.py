"""`rwcctl convert` with the names and folders that people have, in the locales that they have, from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

CASES = Path(__file__).parents[1] / "cases"
NAMES = [
    b"caf\xe9.wav",
    b"a" * 251 + b".wav",
    "ü".encode() * 125 + b"x.wav",
    b"two\nlines.wav",
    b"\x1b[31mred.wav",
    b"-dash.wav",
    "😀 x.wav".encode(),
    b"50% {x} [b] 'q' $a_$.wav",
]
LOCALES = {
    "utf-8": {"LC_ALL": "C.UTF-8"},
    "c": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "latin-1"},
}


def convert(folder: bytes, *words: bytes, **variables: str) -> subprocess.CompletedProcess[bytes]:
    own = {f"XDG_{kind}_HOME": os.path.join(os.fsdecode(folder), kind) for kind in ("DATA", "STATE", "CONFIG")}
    command = [sys.executable, "-m", "rwc_daemon.faces.cli.main", "convert", *words]
    return subprocess.run(command, cwd=folder, env={**os.environ, **own, **variables}, capture_output=True, check=False)


def put(path: bytes, x: np.ndarray | None = None) -> None:
    with open(path, "wb+") as file:
        soundfile.write(file, np.full(480, 0.1) if x is None else x, 48000, format="WAV")


@pytest.mark.parametrize("locale", LOCALES)
def test_names_of_any_bytes(tmp_path, locale):
    folder = os.fsencode(tmp_path)
    os.mkdir(folder + b"/in")
    for name in NAMES:
        put(folder + b"/in/" + name)
    (tmp_path / "in" / "words.txt").write_text("no sound")
    with open(folder + b"/in/bad\xff\n.wav", "wb") as bad:
        bad.write(b"no sound")
    report_too = [b"--report"] if locale == "c" else []  # the hardest; drawing takes seconds
    ended = convert(folder, b"in", b"-o", b"out", b"--jobs", b"1", b"--json", *report_too, **LOCALES[locale])
    assert ended.returncode == 1, ended.stderr
    assert sorted(n for n in os.listdir(folder + b"/out") if n.endswith(b".wav")) == sorted(NAMES)
    assert b"bug" not in ended.stderr
    assert ended.stderr.count(b"\n") == 1, ended.stderr  # the one bad file
    assert b"bad\\xff\\n.wav" in ended.stderr
    assert b"\x1b" not in ended.stderr
    told = json.loads(ended.stdout)
    # in another locale they are other text, and the same bytes
    assert {os.path.basename(os.fsencode(one["target"])) for one in told["files"] if one["ok"]} == set(NAMES)
    assert [(os.path.basename(one["source"]), one["reason"]) for one in told["skipped"]] == [
        ("words.txt", "not a sound file by its name")
    ]
    if report_too:
        report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
        assert {os.path.basename(os.fsencode(one["source"])) for one in report["files"]} >= set(NAMES)
    # again, told to people
    ended = convert(folder, b"in", b"-o", b"out", b"--jobs", b"1", b"--skip-existing", **LOCALES[locale])
    assert b"8 files skipped, there already" in ended.stdout
    assert b"words.txt" in ended.stdout
    assert b"\x1b" not in ended.stdout


@pytest.mark.parametrize("name", [b"caf\xe9\n.wav"])
def test_a_single_file_of_such_a_name(tmp_path, name):
    folder = os.fsencode(tmp_path)
    put(folder + b"/" + name)
    ended = convert(folder, b"./" + name, b"--out=out/" + name, **LOCALES["c"])
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert os.listdir(folder + b"/out") == [name]


def test_a_suffix_that_makes_a_name_too_long(tmp_path):
    folder = os.fsencode(tmp_path)
    with open(folder + b"/" + b"b" * 252 + b".au", "wb+") as file:
        soundfile.write(file, np.full(480, 0.1), 48000, format="AU", subtype="PCM_16")
    ended = convert(folder, b"b" * 252 + b".au", b"-o", b"out/")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert os.listdir(folder + b"/out") == [b"b" * 251 + b".wav"]
    ended = convert(folder, b"b" * 252 + b".au", b"-o", b"c" * 300 + b".wav")
    assert ended.returncode == 1
    assert b"too long" in ended.stderr
    assert b"bug" not in ended.stderr


def test_two_targets_are_wrong_usage(tmp_path):
    folder = os.fsencode(tmp_path)
    for name in (b"a.wav", b"b.wav"):
        put(folder + b"/" + name)
    for words in ([b"a.wav", b"b.wav", b"-o", b"c.wav"], [b"a.wav", b"-o", b"c.wav", b"-o", b"d.wav"]):
        ended = convert(folder, *words)
        assert ended.returncode == 2, ended
        assert ended.stderr.count(b"\n") == 1
    assert not (tmp_path / "c.wav").exists()
    assert convert(folder, b"a.wav", b"-o", b"c.wav", b"--device", b"gpu").returncode == 2


@pytest.mark.parametrize("voice", ["plain", "deep", "bright", "giant", "tiny", "robot", "whisper"])
def test_one_sample_in_one_sample_out(tmp_path, voice):
    from rwc_daemon.batch.convert import START, convert_file
    from rwc_daemon.voices.builtin.voice import load_builtin

    done = convert_file(CASES / "short_1.wav", tmp_path / "out.wav", load_builtin(voice), START)
    assert done.frames == soundfile.info(tmp_path / "out.wav").frames == 1
    assert np.isfinite(soundfile.read(tmp_path / "out.wav")[0]).all()


def test_what_was_odd_is_said(tmp_path):
    folder = os.fsencode(tmp_path)
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(4800) / 48000)
    put(folder + b"/opposite.wav", np.stack([tone, -0.5 * tone], 1))
    (tmp_path / "cut.mp3").write_bytes((CASES / "mp3_cut.mp3").read_bytes())
    (tmp_path / "one.wav").write_bytes((CASES / "short_1.wav").read_bytes())
    words = (b"opposite.wav", b"cut.mp3", b"one.wav", b"-o", b"out", b"--voice", b"plain", b"--report")
    ended = convert(folder, *words)
    assert ended.returncode == 0, ended.stderr
    assert convert(folder, b"one.wav", b"-o", b"alone.wav", b"--report").returncode == 0
    assert b"cut.mp3: note: it ends early" in ended.stderr
    assert b"opposite.wav: note: its channels cancel each other out (opposite phase): the left one" in ended.stderr
    assert ended.stderr.count(b"\n") == 2
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    notes = {os.path.basename(one["source"]): one["notes"] for one in report["files"]}
    assert [len(notes[name]) for name in ("opposite.wav", "cut.mp3", "one.wav")] == [1, 1, 0]
    y = soundfile.read(tmp_path / "out" / "opposite.wav")[0]
    assert np.abs(y).max() == pytest.approx(0.3, rel=0.2)
    assert soundfile.info(tmp_path / "out" / "cut.wav").frames == 21935
