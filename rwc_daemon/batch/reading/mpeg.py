"""The frames of an mp3 (or mp2, mp1): where they begin and end. The decoder only guesses that from the file's size.

Sources: ISO/IEC 11172-3 and 13818-3 (frame header), the Xing/Info header as LAME writes it, ID3v2.4 and APEv2 (tags).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

# kbit/s by (MPEG 1?, layer), index 1 … 14
BITRATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = (44100, 48000, 32000)  # of MPEG 1; half of it in MPEG 2, a quarter in 2.5
FIRST_WITHIN = 1 << 17  # bytes of garbage that may stand before the first frame
AGAIN_WITHIN = 1 << 16  # bytes of damage that may stand between two frames
SURE_AFTER = 3  # frames in a row that make a sync word a frame


@dataclass(frozen=True)
class FrameHeader:
    """What four bytes say about one frame."""

    kind: tuple[int, int, int]
    """(layer, samples/s, channels): what may not change within one stream."""
    size: int
    """Bytes."""
    samples: int
    """Per channel."""
    side: int
    """Bytes between header and main data, where a Xing header would stand."""


@dataclass(frozen=True)
class FrameRun:
    """Frames of one kind that belong together."""

    start: int
    """Byte of the first frame that holds sound."""
    end: int
    """Byte behind the last whole frame."""
    frames: int
    samples: int
    """Per channel, as the frames say."""
    promised: int
    """Frames by the Xing header; 0: there is none, or it speaks of something else."""
    cut: bool
    """The file ends in the middle of a frame, or earlier than promised."""


def header_at(data: mmap | bytes, at: int) -> FrameHeader | None:
    """The frame header at `at`; None where there is none that can be."""
    word = int.from_bytes(data[at : at + 4], "big")
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    bitrate, rate = word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    first = version == 3
    hz = RATES[rate] >> (0 if first else 1 if version == 2 else 2)
    bits, padded = 1000 * BITRATES[first, layer][bitrate - 1], word >> 9 & 1
    channels = 1 if word >> 6 & 3 == 3 else 2
    if layer == 1:
        return FrameHeader((1, hz, channels), 4 * (12 * bits // hz + padded), 384, 0)
    samples = 1152 if first or layer == 2 else 576
    side = {(True, 1): 17, (True, 2): 32, (False, 1): 9, (False, 2): 17}[first, channels]
    return FrameHeader((layer, hz, channels), samples // 8 * bits // hz + padded, samples, 4 + side)


def runs(data: mmap | bytes, within: int = FIRST_WITHIN) -> Iterator[FrameRun]:
    """The streams of a file, one after the other; none where the file is no such sound."""
    at, end = _behind_tags(data, 0), len(data)
    while at < end:
        first = _next_frame(data, at, within)
        if first < 0:
            return
        run, at = _run(data, first)
        if run.frames:
            yield run
        at = _behind_tags(data, at)
        within = AGAIN_WITHIN


def _run(data: mmap | bytes, first: int) -> tuple[FrameRun, int]:
    """From the frame at `first` on; and where to look for the next run."""
    head = header_at(data, first)
    assert head is not None, first
    promised = _xing(data, first, head)
    start = at = first + (head.size if promised is not None else 0)
    frames = samples = 0
    cut = False
    while at < len(data):
        frame = header_at(data, at)
        if frame is None:
            again = _next_frame(data, at, AGAIN_WITHIN) if _behind_tags(data, at) == at else -1
            if again < 0:
                break
            at = again
            continue
        if frame.kind != head.kind or (frames and _xing(data, at, frame) is not None):
            break
        if at + frame.size > len(data):
            cut = True
            break
        at, frames, samples = at + frame.size, frames + 1, samples + frame.samples
    # a header that speaks of fewer frames was left by a program that joined files: the decoder must not see it
    known = promised if promised and frames <= promised + 1 else 0
    cut = cut or known > frames + 1
    return FrameRun(first if known else start, at, frames, samples, known, cut), max(at, first + 1)


def _xing(data: mmap | bytes, at: int, head: FrameHeader) -> int | None:
    """The frames that a Xing or Info header promises, 0 where it keeps that back; None: it is an ordinary frame."""
    if head.kind[0] != 3 or data[at + head.side : at + head.side + 4] not in (b"Xing", b"Info"):
        return None
    flags = data[at + head.side + 4 : at + head.side + 8]
    return int.from_bytes(data[at + head.side + 8 : at + head.side + 12], "big") if flags[3:] and flags[3] & 1 else 0


def _next_frame(data: mmap | bytes, at: int, within: int) -> int:
    """The first byte from `at` on that begins a frame; -1 where none does within so many bytes."""
    last = min(at + within, len(data))
    while True:
        at = data.find(b"\xff", at, last)
        if at < 0 or _sure(data, at):
            return at
        at += 1


def _sure(data: mmap | bytes, at: int) -> bool:
    """Whether frames of one kind follow each other from here on; at the end of the file fewer are enough."""
    head = header_at(data, at)
    kind = head.kind if head else None
    for number in range(SURE_AFTER):
        if head is None or head.kind != kind:
            return False
        at += head.size
        if at + 4 > len(data):
            return number > 0
        head = header_at(data, at)
        if head is None and number and _behind_tags(data, at) > at:
            return True
    return True


def _behind_tags(data: mmap | bytes, at: int) -> int:
    """Past ID3v2, ID3v1 and APE tags that begin at `at`."""
    while True:
        if data[at : at + 3] == b"ID3":
            size = 0
            for byte in data[at + 6 : at + 10]:
                size = size << 7 | byte & 0x7F
            footer = 10 if data[at + 5 : at + 6] and data[at + 5] & 0x10 else 0
            at += 10 + size + footer
        elif data[at : at + 3] == b"TAG" and len(data) - at >= 128:
            at += 128
        elif data[at : at + 8] == b"APETAGEX":
            at += 32 + int.from_bytes(data[at + 12 : at + 16], "little")
        else:
            return at
