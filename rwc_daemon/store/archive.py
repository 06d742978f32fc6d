"""Zips of voices, unpacked with suspicion: by number, into a folder of ours, never by the names inside.

Nothing in a zip chooses where it lands, so `../` cannot slip out; such a name is refused all the same, because an
honest zip has none.
"""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from rwc_daemon.errors import BadModel, Unsupported

MOST_MEMBERS = 2000
MOST_BYTES = 3 << 30  # unpacked, in all
MOST_RATIO = 200  # unpacked to packed; weights hardly shrink
SMALL = 1 << 20  # bytes below which no ratio is suspicious
CHUNK = 1 << 20
# what Python's zipfile raises for damaged archives (found by the fuzzer)
ZIP_TROUBLE = (
    zipfile.BadZipFile, EOFError, ValueError, IndexError, RuntimeError, OverflowError, struct.error, zlib.error,
    lzma.LZMAError,
)  # fmt: skip
SKIPPED = ("__MACOSX/", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class Member:
    """One file that was unpacked."""

    path: Path
    # where it lies
    name: str
    # its own name in the zip, with folders


def unpack(file: BinaryIO, folder: Path, wanted: Callable[[str], bool]) -> list[Member]:
    """The `wanted` files of a zip, written to `folder` as 0, 1, 2 … Raises BadModel or Unsupported."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [one for one in _checked(archive) if wanted(one.filename)]
            return [_extract(archive, one, folder / str(number)) for number, one in enumerate(members)]
    except NotImplementedError:
        raise Unsupported("the zip is packed in a way that is not known here: unpack it, import the folder") from None
    except ZIP_TROUBLE:
        raise BadModel("the zip is damaged or incomplete: get it again") from None


def _checked(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise BadModel(f"the zip has {len(members)} files, more than any voice: unpack it and import what you need")
    for member in members:
        _check(member)
    if len({member.filename for member in members}) != len(members):
        raise BadModel("the zip has two files of one name: it is damaged or a trick; get it again")
    if sum(member.file_size for member in members) > MOST_BYTES:
        raise BadModel(f"the zip unpacks to more than {MOST_BYTES >> 30} GiB: unpack it and import what you need")
    return [one for one in members if not one.is_dir() and not any(part in one.filename for part in SKIPPED)]


def _check(member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    shown = member.filename[:60]
    if path.is_absolute() or ".." in path.parts or ":" in member.filename or "\0" in member.filename:
        raise BadModel(f"the zip holds '{shown}', a path that leads outside: do not trust it")
    mode = member.external_attr >> 16
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and stat.S_IFMT(mode):
        raise BadModel(f"the zip holds '{shown}', a link or device, not a file: do not trust it")
    if member.flag_bits & 1:
        raise Unsupported("the zip is locked with a password: unpack it and import the folder")
    if member.file_size > SMALL and member.file_size > MOST_RATIO * member.compress_size:
        raise BadModel(
            f"'{shown}' in the zip unpacks to {member.file_size >> 20} MiB out of almost nothing: a zip bomb"
        )


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Member:
    left = member.file_size
    with archive.open(member) as source, path.open("xb") as out:
        while part := source.read(CHUNK):
            left -= len(part)
            if left < 0:
                raise BadModel(f"'{member.filename[:60]}' in the zip is larger than it says: do not trust it")
            out.write(part)
    return Member(path, member.filename)
