"""Reading and writing of sound files: every format, tags, and the promise that a target appears whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import soundfile

from rwc_daemon.batch.sound_file import Sound, read_sound, write_sound
from rwc_daemon.errors import BadAudio

RATE = 44100
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "subtype", "lost_below"),
    [
        ("a.wav", "PCM_16", 4e-5),
        ("a.wav", "PCM_24", 2e-7),
        ("a.wav", "FLOAT", 0.0),
        ("a.flac", "PCM_24", 2e-7),
        ("a.ogg", "VORBIS", 0.05),
        ("a.WAV", "PCM_16", 4e-5),
    ],
)
def test_written_and_read_again(tmp_path, name, subtype, lost_below):
    path = tmp_path / name
    write_sound(path, Sound(TONE, RATE, 1, subtype, {"title": "Ein Ton", "artist": "Ånn"}))
    again = read_sound(path)
    assert (again.rate, again.channels, again.subtype) == (RATE, 1, subtype)
    assert len(again.x) == len(TONE)
    assert np.abs(again.x - TONE).max() <= lost_below
    assert again.tags["title"] == "Ein Ton"
    assert again.tags["artist"] == "Ånn"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_format_is_read_and_mixed(tmp_path, suffix, channels):
    if suffix == "mp3" and channels > 2:
        pytest.skip("mp3 has two channels at most")
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.repeat(TONE[:, None], channels, axis=1) * np.linspace(1, 0.5, channels), RATE)
    sound = read_sound(path)
    assert sound.channels == channels
    middle = slice(RATE // 4, RATE // 2)
    gain = np.linspace(1, 0.5, channels).mean()
    assert np.corrcoef(sound.x[middle], TONE[middle])[0, 1] > 0.999
    assert np.abs(sound.x[middle]).max() == pytest.approx(0.5 * gain, rel=0.12)
    assert sound.seconds == pytest.approx(1, abs=0.06)


def test_the_same_float_sound_gives_the_same_bytes_at_another_time(tmp_path, monkeypatch):
    script = "import sys; from pathlib import Path; from rwc_daemon.batch.sound_file import *; " + textwrap.dedent("""
        s = read_sound(Path(sys.argv[1])); write_sound(Path(sys.argv[2]), s)
    """).strip().replace("\n", "; ")
    write_sound(tmp_path / "a.wav", Sound(TONE, RATE, 1, "FLOAT"))
    first = (tmp_path / "a.wav").read_bytes()
    assert b"PEAK" not in first
    subprocess.run([sys.executable, "-c", script, tmp_path / "a.wav", tmp_path / "b.wav"], check=True)
    assert (tmp_path / "b.wav").read_bytes() == first


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot read"),
        (b"not a sound at all, just words", "ffmpeg makes"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "cannot read"),
        (b"fLaC" + bytes(60), "cannot read"),
    ],
)
def test_bad_files_say_so(tmp_path, content, says):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(BadAudio, match=says):
        read_sound(path)


def test_what_is_no_sound_file(tmp_path):
    with pytest.raises(BadAudio, match="no file"):
        read_sound(tmp_path / "none.wav")
    with pytest.raises(BadAudio, match="not a file"):
        read_sound(tmp_path)
    soundfile.write(tmp_path / "empty.wav", np.empty(0), RATE)
    with pytest.raises(BadAudio, match="empty"):
        read_sound(tmp_path / "empty.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan], np.float32), RATE, "FLOAT")
    with pytest.raises(BadAudio, match="not numbers"):
        read_sound(tmp_path / "nan.wav")
    (tmp_path / "a.raw").write_bytes(bytes(100))
    with pytest.raises(BadAudio, match="cannot read"):
        read_sound(tmp_path / "a.raw")


def test_truncated_files_are_read_as_far_as_they_go(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).uniform(-1, 1, RATE), RATE)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    cut = read_sound(tmp_path / "a.flac")
    assert 0.4 * RATE < len(cut.x) < 0.5 * RATE
    assert "cut off" in cut.notes[0]
    soundfile.write(tmp_path / "a.wav", TONE, RATE)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[: 44 + 2000])
    assert len(read_sound(tmp_path / "a.wav").x) == 1000


@pytest.mark.parametrize("name", ["a.mp3", "a", "a.m4a"])
def test_formats_that_cannot_be_written(tmp_path, name):
    with pytest.raises(BadAudio, match=r"must end in \.wav, \.flac, \.ogg"):
        write_sound(tmp_path / name, Sound(TONE, RATE, 1))
    assert not os.listdir(tmp_path)


def test_a_target_that_cannot_be_written_leaves_the_old_one(tmp_path):
    target = tmp_path / "a.flac"
    write_sound(target, Sound(TONE, RATE, 1))
    before = target.read_bytes()
    with pytest.raises(BadAudio, match="cannot write"):
        write_sound(target, Sound(TONE, 3_000_000, 1))  # flac ends at 655350 Hz
    assert target.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.flac"]
    with pytest.raises(BadAudio, match="cannot write"):
        write_sound(target / "below" / "b.wav", Sound(TONE, RATE, 1))


def test_killed_while_writing_leaves_no_target_and_the_next_run_cleans_up(tmp_path):
    script = """
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from rwc_daemon.batch import sound_file
        sound_file.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        sound_file.write_sound(Path(sys.argv[1]), sound_file.Sound(np.zeros(1000, np.float32), 48000, 1))
    """
    target = tmp_path / "a.wav"
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script), target], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not target.exists()
    assert [name.endswith(".part") for name in os.listdir(tmp_path)] == [True]
    write_sound(target, Sound(TONE, RATE, 1))
    assert os.listdir(tmp_path) == ["a.wav"]
