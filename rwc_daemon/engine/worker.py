"""rwc-engine: the process that holds the nets, for any number of streams. Crash-only: it never repairs itself, the
daemon starts another. What goes wrong in one of several streams ends that stream alone.

The main thread hears the channel; the threads of a stream stand in live_stream.py.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import NoReturn

from rwc_daemon.engine.live_stream import LiveStream, Shared
from rwc_daemon.engine.neighbours import Neighbours
from rwc_daemon.engine.voice_cache import VoiceCache
from rwc_daemon.link.channel import Channel
from rwc_daemon.link.handing import take_over
from rwc_daemon.messages import (
    ENGINE,
    CloseStream,
    EngineFault,
    Message,
    OpenStream,
    Quit,
    Ready,
    StreamEnded,
)
from rwc_daemon.voices.repository import VoiceRepository

PR_SET_PDEATHSIG = 1
SWITCH_INTERVAL_S = 0.0005  # the loader's Python must not hold the inference thread for long
WEIGHT_BITS = "RWC_WEIGHT_BITS"  # in the environment: 16 gives the content encoder back its digits
LIVE_WEIGHT_BITS = 8  # what that takes away and gives: docs/measurements/live.md
END_S = 1.0  # for all streams to end by themselves
HANDING_S = 5.0  # the rings of a stream are sent before its OpenStream
LONGEST_REASON = 200


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the daemon, which then says Quit
    logging.basicConfig(level=logging.INFO, format="<4>%(name)s: %(message)s")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    handing = socket.socket(fileno=options.handing_fd)
    handing.settimeout(HANDING_S)
    Engine(Channel.from_fd(options.channel_fd), handing, options).run()
    return 0


class Engine:
    """The channel, and the streams by their numbers."""

    def __init__(self, channel: Channel, handing: socket.socket, options: argparse.Namespace) -> None:
        self._channel, self._handing = channel, handing
        repository = VoiceRepository(options.data_dir, 16 if os.environ.get(WEIGHT_BITS) == "16" else LIVE_WEIGHT_BITS)
        neighbours = Neighbours()
        cache = VoiceCache(options.memory_mb, neighbours.use)
        self._shared = Shared(repository, options.device, options.without_gpu, cache, neighbours)
        self._streams: dict[int, LiveStream] = {}
        self._changing = threading.Lock()

    def run(self) -> None:
        """Until Quit, or until the daemon is gone."""
        self._send(Ready(os.getpid()))
        try:
            self._listen()
        except Exception as failure:  # noqa: BLE001 - an engine that no longer hears must not live on
            self._die(failure, ENGINE)
        with self._changing:
            streams = list(self._streams.values())
        for stream in streams:
            stream.close()
        for stream in streams:
            stream.join(END_S / len(streams))
        # a loader in the middle of gigabytes must not keep the process: there is nothing to tidy up
        os._exit(0)

    def _listen(self) -> None:
        for number, message in self._channel.receive():
            match message:
                case Quit():
                    break
                case OpenStream(generation):
                    self._open(number, generation)
                case CloseStream():
                    stream = self._leaves(number)
                    if stream is not None:
                        stream.close()
                case _ if number in self._streams:
                    self._streams[number].obey(message)

    def _open(self, number: int, generation: int) -> None:
        link = take_over(self._handing, number)
        send, ended = partial(self._send, stream=number), partial(self._ended, number)
        stream = LiveStream(link, generation, self._shared, send, ended)
        with self._changing:
            self._streams[number] = stream
        stream.start()

    def _leaves(self, number: int) -> LiveStream | None:
        with self._changing:
            return self._streams.pop(number, None)

    def _ended(self, number: int, failure: BaseException | None) -> None:
        """In the stream's own thread. A stream that was closed has left before, and what becomes of it is nobody's
        business; the only one takes the engine with it, as what is broken is then not kept."""
        with self._changing:
            there, alone = number in self._streams, len(self._streams) == 1
        if failure is None or not there:
            return
        if alone:
            self._die(failure, number)
        traceback.print_exception(failure)
        self._leaves(number)
        self._send(EngineFault("EngineFailed", last_words(failure)), number)
        self._send(StreamEnded(f"{type(failure).__name__}: {failure}"[:LONGEST_REASON]), number)

    def _die(self, failure: BaseException, number: int) -> NoReturn:
        traceback.print_exception(failure)
        self._send(EngineFault("EngineFailed", last_words(failure)), number)
        os._exit(1)

    def _send(self, message: Message, stream: int = ENGINE) -> None:
        try:
            self._channel.send(message, stream)
        except OSError:
            os._exit(0)  # the daemon is gone, and we with it


def last_words(failure: BaseException) -> str:
    """What the user is told of it."""
    if isinstance(failure, MemoryError) or "can't allocate memory" in str(failure):  # the second is torch's
        return "the engine had no memory left and starts again: close other programs, or choose a smaller voice"
    return f"the engine stopped: {type(failure).__name__}: {failure}"[:300]


def die_with_parent() -> None:
    """SIGKILL for us when the daemon's thread that started us ends; its channel's end is the second witness."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rwc-engine", description="Started by rwc-daemon; not for the command line.")
    parser.add_argument("--channel-fd", type=int, required=True)
    parser.add_argument("--handing-fd", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--memory-mb", type=float, default=0.0, help="voices kept in memory beside the playing one")
    parser.add_argument("--without-gpu", default="", help="the voice when the GPU fails; empty: the same on the CPU")
    return parser


if __name__ == "__main__":
    sys.exit(main())
