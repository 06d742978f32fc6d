"""Where the sound lies in a file, where the decoder would be wrong about it: links of an Ogg chain, a wav whose
recorder was killed, and how long other files promise to be.

Sources: RFC 3533 (Ogg pages), EBU Tech 3306 (RF64), the RIFF, AIFF, CAF, Sony Wave64 and Sun au descriptions.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from mmap import mmap

UNKNOWN_FROM = 0x7FFF0000  # sizes that programs write when they do not know one begin here
BOS, EOS = 2, 4  # an Ogg page begins or ends a stream
W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"


@dataclass(frozen=True)
class Stretch:
    """Bytes of a file that a decoder is given as if they were a file of their own."""

    start: int
    end: int
    head: bytes = b""
    """Stands before them."""


def links(data: mmap | bytes) -> tuple[list[Stretch], bool]:
    """The links of an Ogg chain, and whether the last one is cut off."""
    starts: list[int] = []
    at, begun, ended, last = 0, False, False, 0
    while at >= 0 and at + 27 <= len(data):
        size = 27 + data[at + 26]
        size += sum(data[at + 27 : at + size])
        flags = data[at + 5]
        if flags & BOS and not begun:
            starts.append(at)
        begun, ended, last = bool(flags & BOS), bool(flags & EOS), at + size
        at = at + size if data[at + size : at + size + 4] == b"OggS" else data.find(b"OggS", at + 4)
    ends = [*starts[1:], len(data)]
    cut = not ended or last > len(data)
    return [Stretch(start, end) for start, end in zip(starts, ends, strict=True)], cut


@dataclass(frozen=True)
class Riff:
    """A wav's two chunks that matter."""

    form: bytes
    """The fmt chunk's content."""
    start: int
    """First byte of the samples."""
    size: int
    """Bytes of samples, as the header says."""
    end: int
    """Of the file."""

    @property
    def unknown(self) -> bool:
        """The recorder never wrote the size: it was killed, or wrote into a pipe."""
        return self.size == 0 or self.size >= UNKNOWN_FROM

    @property
    def cut(self) -> bool:
        return not self.unknown and self.start + self.size > self.end

    def whole(self) -> Stretch:
        """All that follows the header, with a header that says so."""
        size = self.end - self.start
        told = min(size, 0xFFFFFFFF - 100)
        fmt = self.form + b"\0" * (len(self.form) % 2)
        head = b"WAVEfmt " + struct.pack("<I", len(self.form)) + fmt + b"data" + struct.pack("<I", told)
        return Stretch(self.start, self.end, b"RIFF" + struct.pack("<I", min(len(head) + told, 0xFFFFFFFF)) + head)


def riff(data: mmap | bytes) -> Riff | None:
    """None where it is no wav, or one without format or samples."""
    if data[:4] not in (b"RIFF", b"RF64") or data[8:12] != b"WAVE":
        return None
    at, form, end = 12, b"", len(data)
    while at + 8 <= end:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"data":
            return Riff(form, at + 8, size, end) if len(form) >= 16 and not _only_chunks(data, at + 8, size) else None
        if name == b"fmt ":
            form = data[at + 8 : at + 8 + min(size, 64)]
        behind = at + 8 + size
        even = behind + size % 2
        at = even if _is_name(data[even : even + 4]) else behind  # some programs forget the byte that makes it even
    return None


def _only_chunks(data: mmap | bytes, at: int, size: int) -> bool:
    """Whether an empty data chunk is really empty: nothing follows it, or other chunks up to the last byte."""
    if size:
        return False
    while at + 8 <= len(data) and _is_name(data[at : at + 4]):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return at >= len(data)


def _is_name(four: bytes) -> bool:
    return len(four) == 4 and all(32 <= byte < 127 for byte in four)


def promised(data: mmap | bytes) -> int:
    """The bytes that a file's own header says it has; 0 where it does not say."""
    magic = data[:4]
    if magic == b"RIFF":
        found = riff(data)
        return found.start + found.size if found and found.cut else 0
    if magic == b"FORM":
        return 8 + int.from_bytes(data[4:8], "big")
    if magic == b"RF64":
        size = int.from_bytes(data[20:28], "little")
        return 8 + size if data[12:16] == b"ds64" else 0
    if data[:16] == W64_RIFF:
        return int.from_bytes(data[16:24], "little")
    if magic == b".snd":
        head, size = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
        return head + size if size < UNKNOWN_FROM else 0
    at, size = _caf_data(data) if magic == b"caff" else (0, 0)
    return at + 12 + size if size > 0 else 0


def shorter_caf(data: mmap | bytes) -> Stretch | None:
    """A CAF whose data chunk is cut off, with a header that promises what is there; None for all else.

    libsndfile refuses it otherwise.
    """
    at, size = _caf_data(data) if data[:4] == b"caff" else (0, 0)
    if not at or at + 12 + size <= len(data):
        return None
    return Stretch(at + 12, len(data), data[: at + 4] + struct.pack(">q", len(data) - at - 12))


def _caf_data(data: mmap | bytes) -> tuple[int, int]:
    """Where the data chunk begins, and its size (-1: to the end of the file); (0, 0) where there is none."""
    at = 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 12], "big", signed=True)
        if data[at : at + 4] == b"data":
            return at, size
        if size < 0:
            break
        at += 12 + size
    return 0, 0
