"""Zips of voices, unpacked with suspicion: by number, into a folder of ours, never by the names inside.

Nothing in a zip chooses where it lands, so `../` cannot slip out; such a name is refused all the same, because an
honest zip has none. Colons, backslashes and letters of any encoding are only odd: zips are made on every system.
"""

from __future__ import annotations

import io
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.names import decoded, legible
from rwc_daemon.store.tensors import read_at

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
UTF8, DOS = 0x800, 0  # the flag of names in UTF-8; the system "MS-DOS" that a member was made on
ENTRY, FLAGS = b"PK\1\2", 8  # how an entry of the directory begins, and where its flags are
END, LENGTH = b"PK\5\6", 12  # the same of what stands behind the directory, and of the directory's length
OWN, OWN_HEADER = b"PK\3\4", 30  # how a member itself begins (its flags two bytes earlier), and how long that is
MOST_DIRECTORY = 8 << 20  # bytes at the end of a zip in which its directory is looked for
DRIVE = re.compile(r"[A-Za-z]:(/|$)")  # a whole path of Windows
SKIPPED = ("__MACOSX/", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class Member:
    """One file that was unpacked."""

    path: Path
    """Where it lies."""
    name: str
    """Its own name in the zip, with folders, `/` between them."""


def unpack(file: BinaryIO, folder: Path, wanted: Callable[[str], bool]) -> list[Member]:
    """The `wanted` files of a zip, written to `folder` as 0, 1, 2 … Raises BadModel or Unsupported."""
    try:
        with zip_file(file) as archive:
            members = [one for one in _checked(archive) if wanted(name_of(one))]
            return [_extract(archive, one, folder / str(number)) for number, one in enumerate(members)]
    except NotImplementedError:
        raise Unsupported("the zip is packed in a way that is not known here: unpack it, import the folder") from None
    except ZIP_TROUBLE:
        raise BadModel("the zip is damaged or incomplete: get it again") from None


def zip_file(file: BinaryIO) -> zipfile.ZipFile:
    """The open zip. Some tools say that a name is UTF-8 and write another encoding: then none is taken for UTF-8."""
    try:
        return zipfile.ZipFile(file)
    except UnicodeDecodeError:
        return zipfile.ZipFile(_Unflagged(file))


def name_of(member: zipfile.ZipInfo) -> str:
    """The name as its maker meant it, with `/` between folders."""
    name = member.filename
    if not member.flag_bits & UTF8:
        # zipfile took the bytes for those of DOS; other systems write their own
        with suppress(UnicodeEncodeError):  # a name from the extra field of Info-ZIP is right already
            name = decoded(name.encode("cp437"), "cp437" if member.create_system == DOS else "latin-1")
    return name.replace("\\", "/")


class _Unflagged(io.RawIOBase):
    """A zip whose directory no longer says that its names are UTF-8."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size, self._at = file, os.fstat(file.fileno()).st_size, 0
        tail = max(0, self._size - MOST_DIRECTORY)
        self._tail_at, self._tail = tail, bytearray(read_at(file, tail, self._size - tail))
        end = self._tail.rfind(END)
        length = int.from_bytes(self._tail[end + LENGTH : end + LENGTH + 4], "little")
        at = self._tail.find(ENTRY, max(0, end - length))
        while at >= 0:
            if at + FLAGS + 1 < len(self._tail):
                self._tail[at + FLAGS + 1] &= ~(UTF8 >> 8)
            at = self._tail.find(ENTRY, at + 1)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("before the file")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        wanted = self._size - self._at if size < 0 else min(size, self._size - self._at)
        if wanted <= 0:
            return b""
        before = max(0, min(wanted, self._tail_at - self._at))
        data = read_at(self._file, self._at, before)
        start = self._at + before - self._tail_at
        data += self._tail[start : start + wanted - before]
        self._at += wanted
        if len(data) == OWN_HEADER and data.startswith(OWN):  # the flags stand before each member once more
            return data[: FLAGS - 1] + bytes([data[FLAGS - 1] & ~(UTF8 >> 8)]) + data[FLAGS:]
        return data


def _checked(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise BadModel(f"the zip has {len(members)} files, more than any voice: unpack it and import what you need")
    for member in members:
        _check(member)
    if len({name_of(member) for member in members}) != len(members):
        raise BadModel("the zip has two files of one name: it is damaged or a trick; get it again")
    if sum(member.file_size for member in members) > MOST_BYTES:
        raise BadModel(f"the zip unpacks to more than {MOST_BYTES >> 30} GiB: unpack it and import what you need")
    return [one for one in members if not one.is_dir() and not any(part in name_of(one) for part in SKIPPED)]


def _check(member: zipfile.ZipInfo) -> None:
    name = name_of(member)
    shown = legible(name)[:60]
    if name.startswith("/") or ".." in name.split("/") or DRIVE.match(name):
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
                raise BadModel(f"'{legible(name_of(member))[:60]}' in the zip is larger than it says: do not trust it")
            out.write(part)
    return Member(path, name_of(member))
