"""Sound files: read as one mono signal, written whole or not at all.

libsndfile does the formats. What it says about a bad file is turned into BadAudio with what to do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from rwc_daemon.errors import BadAudio
from rwc_daemon.voices.base import Samples

READABLE = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".rf64")
WRITABLE = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG"}  # suffix → libsndfile's name
TAGS = ("title", "artist", "album", "date", "tracknumber", "genre", "comment", "copyright", "license")
PIECE = 1 << 16  # frames read or written at once
DEEP = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")  # sources with more than 16 bits
SET_ADD_PEAK_CHUNK = 0x1050  # libsndfile's command: a float wav's PEAK chunk holds the time of day


@dataclass(frozen=True)
class Sound:
    """A sound file in memory."""

    x: Samples
    # f32[frames]; of several channels the mean
    rate: int
    channels: int
    subtype: str = "PCM_16"
    # libsndfile's name of the sample format
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return len(self.x) / self.rate


def read_sound(path: Path) -> Sound:
    """The whole file, downmixed. Raises BadAudio."""
    with _opened(path) as file:
        parts = [piece.mean(axis=1) for piece in file.blocks(PIECE, dtype="float32", always_2d=True)]
        tags = {name: text for name, text in file.copy_metadata().items() if name in TAGS}
        rate, channels, subtype = file.samplerate, file.channels, file.subtype
    x = np.concatenate(parts) if parts else np.empty(0, np.float32)
    if not len(x):
        raise BadAudio(f"{path} holds no sound: it is empty")
    if not np.isfinite(x).all():
        raise BadAudio(f"{path} holds values that are not numbers: write it anew in the program that made it")
    return Sound(x, rate, channels, subtype, tags)


def seconds_of(path: Path) -> float:
    """The length as the header states it. Raises BadAudio."""
    with _opened(path) as file:
        return file.frames / file.samplerate


def write_sound(path: Path, sound: Sound) -> None:
    """Writes all `channels` alike; the suffix is the format. The target appears whole or stays as it was.

    Raises BadAudio.
    """
    kind = format_of(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    _sweep(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, kind, sound)
        os.replace(temporary, path)
    except (soundfile.SoundFileError, OSError) as failed:
        raise BadAudio(f"cannot write {path}: {_reason(failed)}") from failed
    finally:
        with suppress(OSError):  # it is gone where all went well
            temporary.unlink()


def format_of(path: Path) -> str:
    """libsndfile's name of the format that the suffix asks for. Raises BadAudio."""
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in WRITABLE:
        raise BadAudio(f"cannot write '{path.name}': its name must end in .{', .'.join(WRITABLE)}")
    return WRITABLE[suffix]


def subtype_for(kind: str, source: str) -> str:
    """The sample format that keeps what the source had, as far as the target's format can."""
    if kind == "OGG":
        return "VORBIS"
    if kind == "FLAC":
        return "PCM_24" if source in DEEP else "PCM_16"
    if source == "DOUBLE":
        return "FLOAT"
    return source if source in DEEP else "PCM_16"


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    if not path.exists():
        raise BadAudio(f"no file {path}")
    if not path.is_file():
        raise BadAudio(f"{path} is not a file")
    try:
        # by descriptor: the content decides what it is, not the name
        with path.open("rb") as raw, soundfile.SoundFile(raw.fileno(), closefd=False) as file:
            yield file
    except (soundfile.SoundFileError, OSError) as failed:
        raise BadAudio(
            f"cannot read {path} as sound: {_reason(failed)}. wav, flac, ogg and mp3 can be read; "
            "ffmpeg makes a wav of most others"
        ) from failed


def _write(path: Path, kind: str, sound: Sound) -> None:
    subtype = subtype_for(kind, sound.subtype)
    with soundfile.SoundFile(path, "w", sound.rate, sound.channels, subtype, format=kind) as file:
        # the same conversion gives the same bytes; python-soundfile has no public name for this command
        soundfile._snd.sf_command(file._file, SET_ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)
        for name, text in sound.tags.items():
            setattr(file, name, text)
        for at in range(0, len(sound.x), PIECE):
            file.write(np.repeat(sound.x[at : at + PIECE, None], sound.channels, axis=1))
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _sweep(path: Path) -> None:
    """Removes what a killed run left beside the target."""
    head, tail = f".{path.name}.", ".part"
    if not path.parent.is_dir():
        return
    for left in path.parent.iterdir():
        pid = left.name.removeprefix(head).removesuffix(tail)
        if left.name == f"{head}{pid}{tail}" and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            left.unlink(missing_ok=True)


def _reason(failed: Exception) -> str:
    if isinstance(failed, OSError):
        return failed.strerror or str(failed)
    return str(getattr(failed, "error_string", failed)).rstrip(".")
