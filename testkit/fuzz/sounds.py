"""Damaged sound files of every kind, through the confined reader: read or refused, and no sample is invented."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import soundfile

from rwc_daemon.batch.reading.reader import SoundReader
from rwc_daemon.batch.sound_file import read_sound
from rwc_daemon.errors import RwcError
from testkit.fuzz.account import Account, Hang, at_most, is_sentence
from testkit.import_fuzzer import spoil

RATE, FRAMES = 8000, 4000
KINDS = {
    **{f"{subtype}.wav": ("WAV", subtype) for subtype in ("PCM_16", "PCM_24", "FLOAT", "ALAW", "IMA_ADPCM", "GSM610")},
    **{f"a.{kind.lower()}": (kind, "PCM_16") for kind in ("RF64", "W64", "AIFF", "CAF", "AU", "FLAC", "VOC", "NIST")},
    **{"a.ogg": ("OGG", "VORBIS"), "a.opus": ("OGG", "OPUS"), "a.mp3": ("MP3", "MPEG_LAYER_III")},
}
BY_FFMPEG = {
    "a.m4a": ["-c:a", "aac"],
    "a.aac": ["-c:a", "aac"],
    "a.webm": ["-c:a", "libopus"],
    "a.wma": [],
    "a.mka": [],
}
MOST_PER_BYTE = 70_000  # samples: a flac frame of some bytes may hold 65535 of silence
AGAIN = 10  # every so many-th sound is read twice: memory that nobody wrote would differ


def seeds(folder: Path) -> list[Path]:
    """Good files of every kind, a second or less each; those of FFmpeg where it is."""
    folder.mkdir(parents=True)
    t = np.arange(FRAMES) / RATE
    x = (0.4 * np.sin(2 * np.pi * 220 * t) + 0.05 * np.random.default_rng(0).standard_normal(FRAMES)).astype(np.float32)
    for name, (kind, subtype) in KINDS.items():
        soundfile.write(folder / name, x, RATE, subtype, format=kind)
    if shutil.which("ffmpeg"):
        for name, words in BY_FFMPEG.items():
            command = ["ffmpeg", "-y", "-loglevel", "error", "-i", "PCM_16.wav", *words, name]
            subprocess.run(command, cwd=folder, check=True)
    joined = folder / "joined.mp3"
    joined.write_bytes((folder / "a.mp3").read_bytes() * 2)
    (folder / "chain.ogg").write_bytes((folder / "a.ogg").read_bytes() * 2)
    return sorted(folder.iterdir())


def fuzz(count: int, seed: int, folder: Path) -> Account:
    """A crash is also a decoder that died: nothing else noticed, but a good file may be like it."""
    account, dice = Account(), random.Random(seed)
    good = seeds(folder / "good")
    content = {path: path.read_bytes() for path in good}
    with SoundReader() as reader:
        for number in range(count):
            source = dice.choice(good)
            path = folder / f"bad{source.suffix}"
            path.write_bytes(spoil(content[source], dice))
            trouble, refused = _try(path, reader, again=number % AGAIN == 0)
            account.note((source.name, number, seed), trouble, refused)
            if trouble:
                shutil.copy(path, folder.parent / f"culprit-{number}{source.suffix}")
    return account


def _try(path: Path, reader: SoundReader, again: bool) -> tuple[str, bool]:
    """(what it did that no file may do, whether it was refused)."""
    try:
        with at_most():
            sound = read_sound(path, reader)
            if len(sound.x) * sound.channels > MOST_PER_BYTE * path.stat().st_size:
                return f"{len(sound.x)} samples out of {path.stat().st_size} bytes", False
            if not all(map(is_sentence, sound.notes)):
                return f"no sentence: {sound.notes}", False
            if again and not np.array_equal(read_sound(path, reader).x, sound.x):
                return "read twice, heard two things", False
        return "", False
    except RwcError as no:
        died = any(words in str(no) for words in ("decoder broke down", "came to no end"))
        return ("" if is_sentence(str(no)) and not died else str(no)), True
    except Hang:
        reader.close()
        return "hang", False
    except Exception as crash:  # noqa: BLE001 - whatever comes is what is looked for
        return f"{type(crash).__name__}: {crash}", False
