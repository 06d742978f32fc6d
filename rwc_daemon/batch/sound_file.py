"""Sound files: read as one mono signal, written whole or not at all.

Reading is done by a confined process (`reading/`); libsndfile writes. What they say about a bad file is turned into
BadAudio with what to do.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rwc_daemon.batch.downmix import downmix
from rwc_daemon.batch.reading.reader import SoundReader
from rwc_daemon.errors import BadAudio, MissingPackage
from rwc_daemon.voices.base import Samples

# what is looked for in folders; first what libsndfile reads, then what needs the extra `media`
PLAIN = (
    *(
        ".wav",
        ".wave",
        ".bwf",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".mp2",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".snd",
    ),
    *(".caf", ".w64", ".rf64"),
)
MEDIA = (
    *(".aac", ".m4a", ".m4b", ".mp4", ".mov", ".3gp", ".mka", ".mkv", ".weba", ".webm", ".wma", ".ac3", ".amr", ".ape"),
    *(".wv", ".tta", ".spx"),
)
READABLE = PLAIN + MEDIA
WRITABLE = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG"}  # suffix → libsndfile's name
PART = ".part"  # how temporary names end
PIECE = 1 << 16  # frames written at once
DEEP = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")  # sources with more than 16 bits
SET_ADD_PEAK_CHUNK = 0x1050  # libsndfile's command: a float wav's PEAK chunk holds the time of day
LOWEST_RATE, HIGHEST_RATE = 2000, 768_000  # samples/s that a recording can have


@dataclass(frozen=True)
class Sound:
    """A sound file in memory."""

    x: Samples
    """f32[frames]; of several channels the mean."""
    rate: int
    channels: int
    subtype: str = "PCM_16"
    """libsndfile's name of the sample format."""
    tags: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What was odd about the file, each a sentence without its beginning."""
    picked: bool = False
    """True: not all channels are in `x`; a note says which."""

    @property
    def seconds(self) -> float:
        return len(self.x) / self.rate


def read_sound(path: Path, reader: SoundReader | None = None) -> Sound:
    """The whole file, downmixed. `reader`: for many files; else one is started. Raises BadAudio, MissingPackage."""
    notes: list[str] = []
    pieces: list[np.ndarray] = []
    facts: dict[str, Any] = {}
    with _opened(path, reader) as (file, decoder):
        for piece in decoder.decoded(file, path.name, notes):
            if isinstance(piece, dict):
                facts = piece
                _check_rate(facts["rate"])
            else:
                pieces.append(piece)
        if not pieces:
            raise BadAudio(f"{path} holds no sound: it is empty")
    x, picked = downmix(pieces)
    if not np.isfinite(x).all():
        raise BadAudio(f"{path} holds values that are not numbers: write it again in the program that made it")
    told = tuple([*notes, picked] if picked else notes)
    return Sound(x, facts["rate"], facts["channels"], facts["subtype"], facts["tags"], told, bool(picked))


def write_sound(path: Path, sound: Sound) -> None:
    """Writes all `channels` alike; the suffix is the format. The target appears whole or stays as it was.

    Raises BadAudio.
    """
    kind = format_of(path)
    temporary = path.with_name(f"{_part_of(path)}{os.getpid()}{PART}")
    _sweep(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, kind, sound)
        os.replace(temporary, path)
    except OSError as failed:
        raise BadAudio(f"cannot write {path}: {failed.strerror or failed}") from failed
    except _NotWritten as failed:
        raise BadAudio(f"cannot write {path}: {failed}") from failed
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
def _opened(path: Path, reader: SoundReader | None) -> Iterator[tuple[int, SoundReader]]:
    """The file's descriptor and who decodes it. What goes wrong names the file."""
    decoder = reader or SoundReader()
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadAudio(f"{path} is not a file")
        # by descriptor: the content decides what it is, not the name
        with path.open("rb") as raw:
            yield raw.fileno(), decoder
    except MissingPackage as missing:
        raise MissingPackage(f"cannot read {path} as sound: {missing}") from missing
    except BadAudio as failed:
        if str(failed).startswith(str(path)):
            raise
        raise BadAudio(f"cannot read {path} as sound: {failed}") from failed
    except FileNotFoundError as failed:
        raise BadAudio(f"no file {path}") from failed
    except OSError as failed:
        raise BadAudio(f"cannot read {path}: {failed.strerror}") from failed
    finally:
        if reader is None:
            decoder.close()


def _check_rate(rate: int) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise BadAudio(f"its header says {rate} Hz, and no recording has that: the header is damaged")


class _NotWritten(Exception):
    """libsndfile's reason."""


def _write(path: Path, kind: str, sound: Sound) -> None:
    import soundfile

    subtype = subtype_for(kind, sound.subtype)
    try:
        # by descriptor: libsndfile need not know what the name is in this locale
        with path.open("wb+") as raw, soundfile.SoundFile(
            raw.fileno(), "w", sound.rate, sound.channels, subtype, format=kind, closefd=False
        ) as file:  # fmt: skip
            # the same conversion gives the same bytes; python-soundfile has no public name for this command
            soundfile._snd.sf_command(file._file, SET_ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)
            for name, text in sound.tags.items():
                setattr(file, name, text)
            for at in range(0, len(sound.x), PIECE):
                file.write(np.repeat(sound.x[at : at + PIECE, None], sound.channels, axis=1))
    except soundfile.SoundFileError as failed:
        raise _NotWritten(str(getattr(failed, "error_string", failed)).rstrip(".")) from failed
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _part_of(path: Path) -> str:
    """How the temporary names of this target begin; a process number follows. Short, whatever the target's name."""
    return f".rwc-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}-"


def _sweep(path: Path) -> None:
    """Removes what a killed run left beside the target."""
    head = _part_of(path)
    if not path.parent.is_dir():
        return
    for left in path.parent.iterdir():
        pid = left.name.removeprefix(head).removesuffix(PART)
        if left.name == f"{head}{pid}{PART}" and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            left.unlink(missing_ok=True)
