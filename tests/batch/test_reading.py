"""Files as the world makes them: lengths that are estimates or missing, cut files, chains, strange channels, headers
that lie, and what only FFmpeg reads. The right numbers of samples are counted from the encoded frames."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rwc_daemon.batch.reading.reader import SoundReader
from rwc_daemon.batch.sound_file import read_sound
from rwc_daemon.errors import BadAudio, MissingPackage

CASES = Path(__file__).parents[1] / "cases"
RATE = 48000
T = np.arange(2 * RATE) / RATE
TONE = (0.4 * np.sin(2 * np.pi * 220 * T) * (1 + 0.3 * np.sin(2 * np.pi * 3 * T))).astype(np.float32)


@pytest.fixture(scope="module")
def reader():
    with SoundReader() as one:
        yield one


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two seconds in many kinds, by ffmpeg."""
    folder = tmp_path_factory.mktemp("kinds")
    soundfile.write(folder / "a.wav", TONE, RATE)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)
    soundfile.write(folder / "loud_first.wav", np.concatenate([noise, np.zeros(4 * RATE, np.float32)]), RATE)

    def ffmpeg(*words: str) -> None:
        subprocess.run(["ffmpeg", "-y", "-loglevel", "error", *words], cwd=folder, check=True)

    kinds = {
        "no_header.mp3": ["-q:a", "4", "-write_xing", "0"],
        "xing.mp3": ["-q:a", "4"],
        "mpeg2.mp3": ["-q:a", "4", "-ar", "22050", "-write_xing", "0"],
        "stereo.mp3": ["-q:a", "4", "-ac", "2", "-write_xing", "0"],
        "a.ogg": ["-c:a", "libvorbis"],
        "other.ogg": ["-c:a", "libvorbis", "-ar", "44100", "-ac", "2"],
        "a.opus": ["-c:a", "libopus"],
        "a.aac": [],
        "a.m4a": ["-movflags", "faststart"],
        "a.webm": ["-c:a", "libopus"],
        "a.wma": [],
        "a.mkv": ["-c:a", "pcm_s24le"],
    }
    for name, words in kinds.items():
        ffmpeg("-i", "a.wav", *words, name)
    ffmpeg("-i", "loud_first.wav", "-q:a", "0", "-write_xing", "0", "loud_first.mp3")
    video = ["-f", "lavfi", "-i", "testsrc=d=2:s=64x64"]
    ffmpeg(*video, "-i", "a.wav", "-c:a", "aac", "video.mp4")
    ffmpeg(*video, "no_sound.mp4")
    ffmpeg("-i", "a.wav", "-i", "loud_first.wav", "-map", "0:a", "-map", "1:a", "two.mka")
    return folder


def same(x: np.ndarray, y: np.ndarray) -> float:
    """Likeness at the best of all shifts: encoders add some."""
    n = 2 * max(len(x), len(y))
    cross = np.fft.irfft(np.fft.rfft(x, n) * np.fft.rfft(y, n).conj(), n)
    return float(cross.max() / np.linalg.norm(x) / np.linalg.norm(y))


def test_an_mp3_whose_length_is_an_estimate(reader, tmp_path):
    sound = read_sound(CASES / "l_nox.mp3", reader)
    assert abs(len(sound.x) - 442368) <= 1152
    assert not sound.notes
    # cover art makes the estimate four times too long
    cover = bytes((0, 0, 16, 64, 64))[1:]
    body = (CASES / "l_nox.mp3").read_bytes()
    start = body.find(b"\xff\xfb")
    (tmp_path / "cover.mp3").write_bytes(b"ID3\x03\x00\x00" + cover + bytes((16 << 14) + (64 << 7) + 64) + body[start:])
    assert np.array_equal(read_sound(tmp_path / "cover.mp3", reader).x, sound.x)


def test_a_variable_mp3_that_begins_loud_is_read_to_its_end(reader, made):
    # five seconds; the estimate from the first frames is one
    assert len(read_sound(made / "loud_first.mp3", reader).x) == pytest.approx(5 * RATE, abs=2 * 1152)


def test_an_mp3_that_is_cut_in_a_frame(reader):
    sound = read_sound(CASES / "mp3_cut.mp3", reader)
    assert len(sound.x) == 21935
    assert "cut off" in sound.notes[0]


def test_a_streamed_flac(reader):
    sound = read_sound(CASES / "pipe.flac", reader)
    assert (len(sound.x), sound.notes) == (48000, ())


def test_one_sample(reader):
    assert len(read_sound(CASES / "short_1.wav", reader).x) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (bytes(3000), b""),
        (bytes(range(255)) * 20, b""),
        (b"", b"TAG" + bytes(125)),
        (b"", b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0x80000000) + bytes(8)),
        (b"ID3\x04\x00\x00\x00\x00\x02\x01" + bytes(257), b"TAG" + bytes(125)),
    ],
    ids=["zeros before", "garbage before", "ID3v1", "APE", "ID3v2 and v1"],
)
def test_what_stands_around_an_mp3_is_no_sound(reader, made, tmp_path, before, after):
    body = (made / "no_header.mp3").read_bytes()
    (tmp_path / "a.mp3").write_bytes(before + body + after)
    assert np.array_equal(read_sound(tmp_path / "a.mp3", reader).x, read_sound(made / "no_header.mp3", reader).x)


@pytest.mark.parametrize(
    ("first", "second", "frames", "note"),
    [
        ("no_header.mp3", "no_header.mp3", 2 * 97920, ""),
        ("xing.mp3", "xing.mp3", 2 * 96000, ""),
        ("no_header.mp3", "stereo.mp3", 2 * 97920, ""),
        ("no_header.mp3", "mpeg2.mp3", 2 * 97920, "22050"),
        ("a.ogg", "a.ogg", 2 * 96000, ""),
        ("a.ogg", "other.ogg", 2 * 96000, "44100"),
        ("a.opus", "a.opus", 2 * 96000, ""),
    ],
)
def test_files_that_were_joined(reader, made, tmp_path, first, second, frames, note):
    path = tmp_path / f"joined{Path(first).suffix}"
    path.write_bytes((made / first).read_bytes() + (made / second).read_bytes())
    sound = read_sound(path, reader)
    assert len(sound.x) == pytest.approx(frames, abs=2 * 1152)
    assert (sound.rate, sound.channels) == (RATE, 1)
    assert note in " ".join(sound.notes)
    assert bool(note) == bool(sound.notes)
    half = len(sound.x) // 2
    assert same(sound.x[half:], TONE) > 0.99


@pytest.mark.parametrize("riff", [0, 36, 0xFFFFFFFF, None])
@pytest.mark.parametrize("data", [0, 0xFFFFFFFF, 0x7FFFF000])
@pytest.mark.parametrize("extra", [b"", b"LIST" + struct.pack("<I", 4) + b"INFO"])
def test_a_wav_whose_recorder_was_killed(reader, tmp_path, riff, data, extra):
    pcm = (TONE * 32767).astype("<i2")
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16) + extra + b"data"
    size = len(head) + 4 + pcm.nbytes if riff is None else riff
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", size) + head + struct.pack("<I", data) + pcm.tobytes())
    sound = read_sound(tmp_path / "a.wav", reader)
    assert np.array_equal(np.round(sound.x * 32768).astype(int), pcm.astype(int))


def test_a_wav_whose_chunk_is_askew_and_one_that_is_empty(reader, tmp_path):
    pcm = (TONE * 32767).astype("<i2")
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    body = b"WAVE" + form + b"junk" + struct.pack("<I", 3) + b"abc" + b"data" + struct.pack("<I", pcm.nbytes)
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body) + pcm.nbytes) + body + pcm.tobytes())
    assert len(read_sound(tmp_path / "a.wav", reader).x) == len(pcm)
    body = b"WAVE" + form + b"data" + bytes(4) + b"LIST" + struct.pack("<I", 4) + b"INFO"
    (tmp_path / "b.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with pytest.raises(BadAudio, match="holds no sound"):
        read_sound(tmp_path / "b.wav", reader)


@pytest.mark.parametrize("kind", ["RF64", "W64", "AIFF", "CAF", "AU", "WAV"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ALAW"])
def test_other_containers_whole_and_cut(reader, tmp_path, kind, subtype):
    path = tmp_path / "a.bin"
    soundfile.write(path, TONE, RATE, subtype, format=kind)
    sound = read_sound(path, reader)
    assert (len(sound.x), sound.notes) == (len(TONE), ())
    assert np.abs(sound.x - TONE).max() < (0.02 if subtype == "ALAW" else 5e-5)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut = read_sound(path, reader)
    assert len(cut.x) == pytest.approx(len(TONE) / 2, rel=0.1)
    assert np.array_equal(cut.x, sound.x[: len(cut.x)])
    assert "cut off" in cut.notes[0]


@pytest.mark.parametrize("name", ["a.aac", "a.m4a", "a.webm", "a.wma", "a.mkv", "video.mp4", "two.mka"])
def test_what_ffmpeg_reads(reader, made, tmp_path, name):
    pytest.importorskip("av")
    sound = read_sound(made / name, reader)
    assert (sound.rate, sound.channels) == (RATE, 1)
    assert len(sound.x) == pytest.approx(len(TONE), abs=2048)
    assert same(sound.x, TONE) > 0.98
    assert sound.notes == (("it has 2 sound tracks: number 1 was taken",) if name == "two.mka" else ())
    assert sound.subtype == ("PCM_24" if name == "a.mkv" else "PCM_16")
    # under a name that says nothing, and cut in the middle
    (tmp_path / "cut").write_bytes((made / name).read_bytes()[: (made / name).stat().st_size * 6 // 10])
    if name not in ("video.mp4", "a.wma"):  # the first keeps its table at its end; the second states no length
        cut = read_sound(tmp_path / "cut", reader)
        assert 0 < len(cut.x) < len(TONE)
        assert cut.notes


def test_a_video_without_sound(reader, made):
    pytest.importorskip("av")
    with pytest.raises(BadAudio, match="no sound track"):
        read_sound(made / "no_sound.mp4", reader)


def test_without_the_extra_it_is_named(made, monkeypatch, tmp_path):
    (tmp_path / "av.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "words.txt").write_text("only words")
    with SoundReader() as poor:
        for name in ("a.m4a", "a.aac", "a.webm"):
            with pytest.raises(MissingPackage, match=r"rwc-daemon\[media\]"):
                read_sound(made / name, poor)
        with pytest.raises(BadAudio, match="ffmpeg makes"):
            read_sound(tmp_path / "words.txt", poor)
        assert len(read_sound(made / "no_header.mp3", poor).x) == 97920


@pytest.mark.parametrize(
    ("gains", "note", "gain"),
    [
        ((1, 1), "", 1),
        ((0, 1), "only its right channel", 1),
        ((1, 0.001), "only its left channel", 1),
        ((0.5, -0.8), "opposite phase): the right one", -0.8),
        ((1, -1, 0), "opposite phase", 1),
        ((0, 0, 1), "only its 3. channel", 1),
        ((1, 0, 1), "only 2 of its 3 channels", 1),
        ((0, 0), "", 0),
    ],
)
def test_channels_that_would_be_lost_in_the_mean(reader, tmp_path, gains, note, gain):
    soundfile.write(tmp_path / "a.wav", TONE[:, None] * np.array(gains), RATE, "FLOAT")
    sound = read_sound(tmp_path / "a.wav", reader)
    assert np.abs(sound.x - gain * TONE).max() < 1e-6
    assert note in " ".join(sound.notes)
    assert bool(note) == bool(sound.notes) == sound.picked


@pytest.mark.parametrize("rate", [1, 1999, 2_000_000_000])
def test_a_rate_that_no_recording_has(reader, tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", TONE, RATE)
    whole = bytearray((tmp_path / "a.wav").read_bytes())
    whole[24:28] = struct.pack("<I", rate)
    (tmp_path / "a.wav").write_bytes(whole)
    with pytest.raises(BadAudio, match=f"says {rate} Hz"):
        read_sound(tmp_path / "a.wav", reader)
    assert len(read_sound(CASES / "short_1.wav", reader).x) == 1  # the reader goes on


@pytest.mark.parametrize(
    ("number", "says"), [(signal.SIGSEGV, "broke down [(]SIGSEGV[)]"), (signal.SIGSTOP, "came to no end")]
)
def test_a_decoder_that_dies_or_hangs_is_one_bad_file(tmp_path, monkeypatch, number, says):
    """The signal hits the child in the middle of a long file; the next file gets another one."""
    soundfile.write(tmp_path / "long.wav", np.tile(TONE, 20), RATE)
    with SoundReader() as reader, (tmp_path / "long.wav").open("rb") as file:
        pieces = reader.decoded(file.fileno(), "long.wav", [])
        assert next(pieces)["rate"] == RATE
        monkeypatch.setattr("rwc_daemon.batch.reading.reader.PATIENCE_S", 0.5)
        reader._child.send_signal(number)
        with pytest.raises(BadAudio, match=says):
            list(pieces)
        monkeypatch.undo()
        assert len(read_sound(CASES / "short_1.wav", reader).x) == 1


def test_the_decoder_is_confined_and_ends_with_us(made):
    """It has no network, may start nothing, and is gone when its parent is killed."""
    script = """
        import os, sys, time
        from pathlib import Path
        from rwc_daemon.batch.reading.reader import SoundReader
        from rwc_daemon.batch.sound_file import read_sound
        reader = SoundReader()
        read_sound(Path(sys.argv[1]), reader)
        print(reader._child.pid, flush=True)
        os.kill(os.getpid(), 9)
    """
    with SoundReader() as reader:
        read_sound(made / "a.wav", reader)
        status = Path(f"/proc/{reader._child.pid}/status").read_text()
        assert "Seccomp:\t2" in status
        assert "NoNewPrivs:\t1" in status
    command = [sys.executable, "-c", textwrap.dedent(script), str(made / "a.wav")]
    pid = int(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)
    for _ in range(200):
        if not os.path.exists(f"/proc/{pid}"):
            break
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{pid}")
