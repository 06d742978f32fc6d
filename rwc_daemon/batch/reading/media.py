"""What libsndfile does not know, decoded by FFmpeg: aac, m4a, wma, webm, mkv, the sound of a video. Runs in the child.

PyAV brings FFmpeg; it is the extra `media`. Only containers and codecs of sound are let near it, and no other protocol
than the open file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rwc_daemon import extras
from rwc_daemon.batch.reading.pieces import CUT, DAMAGED, TAGS, Facts, Note, Piece
from rwc_daemon.errors import BadAudio

if TYPE_CHECKING:
    from mmap import mmap

SUFFIXES = (
    *(".aac", ".m4a", ".m4b", ".mp4", ".mov", ".3gp", ".mka", ".mkv", ".weba", ".webm", ".wma", ".wmv", ".asf"),
    *(".avi", ".flv", ".ts", ".ac3", ".eac3", ".dts", ".amr", ".ape", ".wv", ".tta", ".spx", ".tak"),
)
# offset and bytes by which such a file is known, whatever it is called
MAGIC = (
    *((4, b"ftyp"), (0, b"\x1aE\xdf\xa3"), (0, b"0&\xb2u\x8ef\xcf\x11"), (0, b"FLV\x01"), (8, b"AVI "), (0, b"wvpk")),
    *((0, b"TTA1"), (0, b"MAC "), (0, b"#!AMR"), (0, b"\x0bw"), (0, b"\xff\xf1"), (0, b"\xff\xf9"), (0, b"OggS")),
)
DEMUXERS = (
    "aac,ac3,amr,ape,asf,avi,caf,dts,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpegts,mpeg,ogg,tak,tta,"
    "wav,wv"
)
LENGTH_KNOWN = ("mov", "matroska", "asf", "avi")  # containers whose stated length is one
NAMES = {"track": "tracknumber", "year": "date"}
SCALE = {"u8": 1 << 7, "s16": 1 << 15, "s32": 1 << 31, "s64": 1 << 63}
MOST_DAMAGE = 1000  # packets in a row that cannot be decoded


class NotMedia(Exception):
    """FFmpeg does not know it either."""


def pieces(file: int, data: mmap, suffix: str, note: Note) -> Iterator[Facts | Piece]:
    """Facts, then Pieces. Raises BadAudio, NotMedia, and MissingPackage where only the extra could tell."""
    try:
        import av
    except ImportError:
        if suffix.lower() in SUFFIXES or any(data[at : at + len(magic)] == magic for at, magic in MAGIC):
            raise extras.missing("av", "this kind of file") from None
        raise NotMedia from None
    os.lseek(file, 0, os.SEEK_SET)
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
    try:
        with (
            os.fdopen(file, "rb", closefd=False) as raw,
            av.open(raw, options=options, metadata_errors="ignore") as box,
        ):
            yield from _track(av, box, note)
    except (av.FFmpegError, UnicodeError) as failed:
        raise NotMedia(str(failed)) from None


def _track(av: Any, box: Any, note: Note) -> Iterator[Facts | Piece]:
    """The sound that a player would play."""
    tracks = box.streams.audio
    if not tracks:
        raise BadAudio("it has no sound track")
    track = box.streams.best("audio") or tracks[0]
    if track.codec_context is None:
        raise BadAudio("its sound is of a kind that FFmpeg cannot decode")
    track.codec_context.thread_count = 1
    if len(tracks) > 1:
        note(f"it has {len(tracks)} sound tracks: number {tracks.index(track) + 1} was taken")
    tags = {NAMES.get(key.lower(), key.lower()): text for key, text in {**track.metadata, **box.metadata}.items()}
    facts, seconds, damaged = None, 0.0, 0
    for frame in _frames(av, box, track):
        if frame is None:
            damaged += 1
            continue
        x = samples_of(frame)
        if facts is None:
            facts = Facts(
                frame.sample_rate, x.shape[1], _subtype(track, frame), {k: tags[k] for k in TAGS if k in tags}
            )
            yield facts
        seconds += len(x) / frame.sample_rate
        yield Piece(frame.sample_rate, x)
    if facts is None:
        raise BadAudio("nothing of its sound track could be decoded")
    if seconds < 0.98 * _length(box, track) - 0.5:
        note(CUT)
    elif damaged:
        note(DAMAGED)


def _length(box: Any, track: Any) -> float:
    """Seconds, as the container says; 0 where it says nothing about this track, or only guesses."""
    if not any(name in box.format.name for name in LENGTH_KNOWN):
        return 0.0
    if track.duration:
        return float(track.duration * track.time_base)
    return box.duration / 1e6 if box.duration and len(box.streams) == 1 else 0.0


def _frames(av: Any, box: Any, track: Any) -> Iterator[Any]:
    """Every frame of the track; None for a packet that cannot be decoded. Ends where nothing more can be read."""
    packets, in_a_row = box.demux(track), 0
    while in_a_row < MOST_DAMAGE:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            yield None
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
            in_a_row = 0
        except av.FFmpegError:
            in_a_row += 1
            yield None


def samples_of(frame: Any) -> np.ndarray:
    """f32[n, channels] of a frame of any sample format. Raises BadAudio."""
    kind = frame.format.name.removesuffix("p")
    channels = len(frame.layout.channels)
    raw = frame.to_ndarray()
    x = raw.T if frame.format.is_planar else raw.reshape(-1, channels)
    if x.shape != (frame.samples, channels):
        raise BadAudio(f"its decoder gave {x.shape} where {(frame.samples, channels)} was said")
    if kind == "u8":
        x = x.astype(np.float32) - 128
    return np.ascontiguousarray(x / np.float32(SCALE.get(kind, 1)), np.float32)


def _subtype(track: Any, frame: Any) -> str:
    """What libsndfile would call it, as far as the target's format depends on it."""
    name, kind = track.codec_context.name, frame.format.name.removesuffix("p")
    lossless = name.startswith("pcm_") or name in ("alac", "flac", "wavpack", "tta", "ape", "tak")
    if lossless and kind in ("flt", "dbl"):
        return "FLOAT"
    return "PCM_24" if lossless and kind == "s32" else "PCM_16"
