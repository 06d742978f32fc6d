"""A sound file into pieces of sound, until the decoder gives nothing more.

libsndfile's own count of frames is not believed: of an mp3 it is an estimate, of a streamed flac there is none. What a
decoder did not give is never handed on. Runs in the confined child.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import numpy as np
import soundfile

from rwc_daemon.batch.reading import layout, media, mpeg
from rwc_daemon.batch.reading.layout import Stretch
from rwc_daemon.batch.reading.pieces import CUT, DAMAGED, STREAMED, TAGS, Facts, Note, Piece
from rwc_daemon.errors import BadAudio

PIECE = 1 << 16  # samples of all channels together
ADVICE = "wav, flac, ogg and mp3 can be read; ffmpeg makes a wav of most others"
LIE = 1000  # an mp3 is said to be so many times as large: libsndfile stops where it guesses the end to be
PEEK = 4096  # bytes before that made-up end that it may look at, for tags
NO_LENGTH = (1 << 63) - 1  # libsndfile's count of frames where it knows none


class ByteWindow(io.RawIOBase):
    """A stretch of a file as a file of its own, perhaps said to be longer than it is."""

    def __init__(self, data: mmap.mmap | bytes, stretch: Stretch, lie: int = 1) -> None:
        super().__init__()
        self._data, self._s = data, stretch
        self._size = len(stretch.head) + stretch.end - stretch.start
        self._told = self._size * lie
        self._at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._told)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """libsndfile binds it and never calls it."""
        return 0

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        part = self._part(len(view))
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _part(self, most: int) -> bytes:
        if self._at >= self._size:
            peeked = self._size < self._told - PEEK <= self._at
            return bytes(max(0, min(most, self._told - self._at))) if peeked else b""
        head = self._s.head[self._at : self._at + most]
        if head:
            return head
        at = self._s.start + self._at - len(self._s.head)
        return self._data[at : min(at + most, self._s.end)]


def decode(file: int, name: str, note: Note) -> Iterator[Facts | np.ndarray]:
    """The facts, then every piece as f32[n, channels] at their rate. Raises BadAudio and MissingPackage.

    `file`: a descriptor, open for reading; `name`: only its suffix counts, and only for what to say.
    """
    size = os.fstat(file).st_size
    if not size:
        raise BadAudio("it is empty")
    with mmap.mmap(file, size, access=mmap.ACCESS_READ) as data:
        yield from joined(_pieces(data, file, name, note), note)


def joined(pieces: Iterator[Facts | Piece], note: Note) -> Iterator[Facts | np.ndarray]:
    """Pieces that change their rate or number of channels on the way are fitted to the first.

    Facts without a piece are those of a decoder that then gave up: the next one's count.
    """
    facts: Facts | None = None
    fitting: Any = None
    now, begun = 0, False
    for piece in pieces:
        if isinstance(piece, Facts):
            if not begun:
                facts, now = piece, piece.rate
            continue
        assert facts is not None
        if not begun:
            begun = True
            yield facts
        x = _with_channels(piece.x, facts.channels)
        if piece.rate != now:
            if fitting is not None:
                yield fitting.resample_chunk(np.empty((0, facts.channels), np.float32), last=True)
            note(f"its rate changes from {now} to {piece.rate} Hz on the way: all was brought to {facts.rate} Hz")
            fitting, now = _fitting(piece.rate, facts), piece.rate
        yield x if fitting is None else fitting.resample_chunk(x)
    if facts is not None and not begun:
        yield facts
    if fitting is not None and facts is not None:
        yield fitting.resample_chunk(np.empty((0, facts.channels), np.float32), last=True)


def _fitting(rate: int, facts: Facts) -> Any:
    """None where the rate is the wanted one. Raises BadAudio."""
    if rate == facts.rate:
        return None
    if not 1000 <= rate <= 1_000_000:
        raise BadAudio(f"its rate changes to {rate} Hz on the way: it is damaged")
    import soxr

    return soxr.ResampleStream(rate, facts.rate, facts.channels, dtype="float32", quality="VHQ")


def _with_channels(x: np.ndarray, channels: int) -> np.ndarray:
    if x.shape[1] == channels:
        return x
    return np.repeat(x.mean(axis=1, keepdims=True), channels, axis=1)


def _pieces(data: mmap.mmap, file: int, name: str, note: Note) -> Iterator[Facts | Piece]:
    """By what libsndfile can read; where it gives nothing, by FFmpeg."""
    given = False
    try:
        for piece in _by_libsndfile(data, file, note):
            given = given or isinstance(piece, Piece)
            if given or isinstance(piece, Facts):
                yield piece
        return
    except (soundfile.SoundFileError, BadAudio) as failed:
        if given:
            note(DAMAGED)
            return
        why = failed
    try:
        yield from media.pieces(file, data, PurePath(name).suffix, note)
    except media.NotMedia:
        reason = str(getattr(why, "error_string", why)).rstrip(".")
        raise BadAudio(f"{reason}. {ADVICE}") from None


def _by_libsndfile(data: mmap.mmap, file: int, note: Note) -> Iterator[Facts | Piece]:
    magic = bytes(data[:12])
    if magic[:4] == b"OggS":
        chain, cut = layout.links(data)
        yield from _several([ByteWindow(data, link) for link in chain] if len(chain) > 1 else [None], file)
        if cut:
            note(CUT)
        return
    if magic[:3] == b"ID3" or mpeg.header_at(data, 0):
        found = list(mpeg.runs(data))
    else:
        wav = layout.riff(data)
        if wav is None or not (wav.unknown and wav.size == 0):
            yield from _plain(data, file, note)
            return
        note(STREAMED)
        yield from _several([ByteWindow(data, wav.whole())], file)
        return
    if not found:
        yield from _plain(data, file, note)
        return
    yield from _mpeg(data, found, file, note)


def _mpeg(data: mmap.mmap, found: list[mpeg.FrameRun], file: int, note: Note) -> Iterator[Facts | Piece]:
    yield from _several([ByteWindow(data, Stretch(run.start, run.end), LIE) for run in found], file)
    if found[-1].cut:
        note(CUT)


def _plain(data: mmap.mmap, file: int, note: Note) -> Iterator[Facts | Piece]:
    """As libsndfile sees it; where it sees nothing, an mp3 behind garbage or a wav whose chunks are askew."""
    try:
        counted: list[int] = []
        yield from _several([None], file, counted)
    except soundfile.SoundFileError:
        wav, found = layout.riff(data), list(mpeg.runs(data))
        repaired = wav.whole() if wav else layout.shorter_caf(data)
        if counted or not (repaired or found):
            raise
        if repaired:
            yield from _several([ByteWindow(data, repaired)], file)
            if layout.promised(data) > len(data):
                note(CUT)
        else:
            yield from _mpeg(data, found, file, note)
        return
    if layout.promised(data) > len(data) or (counted and counted[0] > counted[1]):
        note(CUT)


def _several(windows: list[ByteWindow | None], file: int, counted: list[int] | None = None) -> Iterator[Facts | Piece]:
    """Every stretch decoded after the other (None: the whole file); the first gives the facts.

    `counted` hears what the header of the last one says (0: nothing), and what came, in frames.
    """
    first = True
    for window in windows:
        if window is None:
            os.lseek(file, 0, os.SEEK_SET)
        with soundfile.SoundFile(window or file, closefd=False) as sound:
            if first:
                tags = {tag: text for tag, text in sound.copy_metadata().items() if tag in TAGS}
                yield Facts(sound.samplerate, sound.channels, sound.subtype, tags)
            first = False
            frames = 0
            for x in _until_nothing_comes(sound):
                frames += len(x)
                yield Piece(sound.samplerate, x)
            if counted is not None:
                counted[:] = [0 if sound.frames == NO_LENGTH else sound.frames, frames]


def _until_nothing_comes(sound: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """f32[n, channels], straight from libsndfile: python-soundfile's own `read` gives as much as the header promises,
    whether it was decoded or not."""
    most = max(1, PIECE // sound.channels)
    while True:
        x = np.zeros((most, sound.channels), np.float32)
        got = soundfile._snd.sf_readf_float(sound._file, soundfile._ffi.cast("float*", x.ctypes.data), most)
        if got <= 0:
            if soundfile._snd.sf_error(sound._file):
                raise soundfile.LibsndfileError(soundfile._snd.sf_error(sound._file))
            return
        yield x[:got]
