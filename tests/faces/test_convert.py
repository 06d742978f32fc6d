"""`rwcctl convert` as a user runs it: real files, real worker processes, interruptions."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rwc_daemon.batch.sound_file import read_sound
from rwc_daemon.faces.cli.main import main
from rwc_daemon.host.state import Saved, StateFile
from tests.batch.test_convert_file import vowel

RATE = 24000


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user with empty folders, standing in one of them."""
    for variable in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def sing(path: str, seconds: float = 0.8, rate: int = RATE) -> Path:
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(place, vowel(rate, seconds), rate)
    return place


def converted(capsys, *words: str) -> dict:
    assert main(["convert", *words, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def refused(capsys, *words: str) -> str:
    """The one line of a refusal: 1, or 2 for a value out of range."""
    assert main(["convert", *words]) in (1, 2)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err
    return said.err


def sounds(folder: str) -> dict[str, int]:
    """name → frames of every sound below a folder; fails on one that is not whole."""
    return {name: soundfile.info(Path(folder, name)).frames for name in sound_names(folder)}


def sound_names(folder: str) -> list[str]:
    suffixes = (".wav", ".flac", ".ogg")
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.suffix in suffixes)


def test_one_file_with_the_first_voice(home, capsys):
    sing("in.wav")
    told = converted(capsys, "in.wav", "-o", "out.flac")
    assert told["voice"] == "deep"
    assert told["files"][0]["frames"] == int(0.8 * RATE) == sounds(".")["out.flac"]
    assert told["files"][0]["real_time_factor"] > 0


def test_the_voice_in_use_is_the_default(home, capsys):
    sing("in.wav")
    StateFile(Path(os.environ["XDG_STATE_HOME"]) / "rwc" / "state.json").save(Saved(voice="whisper"))
    assert converted(capsys, "in.wav", "-o", "out.wav")["voice"] == "whisper"


def test_a_folder_one_bad_file_and_what_is_left_of_it(home, capsys):
    sing("in/a.wav")
    sing("in/deep/b.mp3")
    sing("in/deep/c.ogg")
    Path("in/bad.flac").write_bytes(b"not a sound")
    assert main(["convert", "in", "-o", "out", "--pitch", "-2", "--report", "--jobs", "2"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("rwcctl: in/bad.flac: cannot read")
    assert "1 file failed" in said.err
    assert "3 files" in said.out
    frames = int(0.8 * RATE)
    from_mp3 = len(read_sound(Path("in/deep/b.mp3")).x)  # mp3 pads to whole frames
    assert sounds("out") == {"a.wav": frames, "deep/b.wav": from_mp3, "deep/c.ogg": frames}
    report = json.loads(Path("out/report.json").read_text())
    assert report["summary"]["converted"] == 3
    by_name = {Path(file["source"]).name: file for file in report["files"]}
    # this vowel's pitch sweeps by a quarter, four times a second; formants that suit the speaker moved the figure to 31
    assert by_name["a.wav"]["pitch"]["error_cents"] < 35
    assert by_name["bad.flac"]["ok"] is False

    # again: refused as a whole, then only what is missing
    was = Path("out/a.wav").read_bytes()
    Path("out/a.wav").unlink()
    assert "and 1 more exist already" in refused(capsys, "in", "-o", "out")
    assert not Path("out/a.wav").exists()
    Path("in/bad.flac").unlink()
    told = converted(capsys, "in", "-o", "out", "--pitch", "-2", "--skip-existing", "--jobs", "1")
    assert [Path(file["source"]).name for file in told["files"]] == ["a.wav"]
    assert len(told["skipped"]) == 2
    assert Path("out/a.wav").read_bytes() == was


def test_refusals_change_nothing(home, capsys):
    sing("in.wav")
    sing("old.wav")
    before = Path("old.wav").read_bytes()
    cases = {
        ("in.wav", "-o", "old.wav"): "--overwrite",
        ("in.wav", "-o", "in.wav", "--overwrite"): "one of the files to convert",
        ("in.wav", "-o", "out.wav", "--voice", "dep"): "did you mean deep",
        ("in.wav", "-o", "out.wav", "--pitch", "99"): "-24 to 24 semitones",
        ("in.wav", "-o", "out.wav", "--pitch", "nan"): "-24 to 24 semitones",
        ("in.wav", "-o", "out.wav", "--rate", "100"): "8000 to 192000",
        ("in.wav", "-o", "out.wav", "--jobs", "0"): "1 to 256",
        ("in.wav", "-o", "out.wav", "--index", "a.index"): "goes with --model",
        ("in.wav", "-o", "out.wav", "--model", "none.pth"): "no file none.pth",
        ("none.wav", "-o", "out.wav"): "no file, folder or match",
    }
    for words, says in cases.items():
        assert says in refused(capsys, *words), words
    assert main(["convert", "in.wav", "-o", "out.mp3"]) == 1
    assert "must end in" in capsys.readouterr().err
    assert sound_names(".") == ["in.wav", "old.wav"]
    assert Path("old.wav").read_bytes() == before


def test_wrong_usage(home, capsys):
    for words in (
        ["convert"],
        ["convert", "in.wav"],
        ["convert", "in.wav", "-o", "a.wav", "--overwrite", "--skip-existing"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2


def started(*words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "rwc_daemon.faces.cli.main", "convert", *words]
    # whoever runs the tests in the background may have made them deaf to SIGINT, which is inherited
    hearing = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, **hearing)


def wait_until(true, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def group_is_gone(group: int) -> bool:
    """No process of it lives (a zombie that nobody has waited for is dead enough)."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                return False
    return True


@pytest.mark.realtime
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_stopped_in_the_middle_then_resumed(home, capsys, kill):
    count, seconds, rate = 6, 8, 48000
    for number in range(count):
        sing(f"in/{number}.wav", seconds, rate)
    process = started("in", "-o", "out", "--jobs", "2")
    wait_until(lambda: Path("out").is_dir() and sound_names("out"))
    os.killpg(process.pid, kill)
    _, said = process.communicate(timeout=30)
    wait_until(lambda: group_is_gone(process.pid))
    assert b"Traceback" not in said
    assert process.returncode == (-kill if kill == signal.SIGKILL else 130)
    assert (b"--skip-existing goes on" in said) == (kill == signal.SIGINT)
    before = sounds("out")
    assert 1 <= len(before) < count
    assert set(before.values()) == {seconds * rate}
    told = converted(capsys, "in", "-o", "out", "--skip-existing", "--jobs", "1")
    assert len(told["skipped"]) == len(before)
    assert sounds("out") == {f"{number}.wav": seconds * rate for number in range(count)}
    assert not [name for name in os.listdir("out") if name.endswith(".part")]


def test_a_model_file_is_used_without_keeping_it(home, capsys):
    pytest.importorskip("torch")
    from rwc_daemon.host import paths
    from testkit.makers import make_assets, make_index, make_voice

    make_assets(paths.assets_dir(), names=("contentvec",))
    model, index = make_voice(home, "v1-48k-f0"), make_index(home, 256)
    sing("in.wav")
    words = ("in.wav", "--f0-method", "yin", "--speaker", "1", "--device", "cpu", "--jobs", "1")
    converted(capsys, *words, "-o", "a.wav", "--model", str(model), "--index", str(index))
    assert not paths.voices_dir().exists()
    assert main(["import", str(model), str(index), "--name", "Tina"]) == 0
    capsys.readouterr()
    assert converted(capsys, *words, "-o", "b.wav", "--voice", "Tina")["voice"] == "tina"
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()
    assert np.isfinite(soundfile.read("a.wav")[0]).all()
