"""rwc-engine: the process that holds the nets. Crash-only: it never repairs itself, the supervisor starts another.

channel thread (this one) ── orders ──▶ inference thread: ring → switcher → ring
        │                                     ▲
        └── names ──▶ loader thread ── voices ┘
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import sys
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from rwc_daemon.controls import Controls
from rwc_daemon.engine.inference import Inference, Order
from rwc_daemon.engine.load_request import LoadRequest, StreamConfig
from rwc_daemon.engine.loader import Loader
from rwc_daemon.engine.thread_budget import ThreadBudget
from rwc_daemon.link.channel import Channel
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import (
    Configure,
    EngineFault,
    LoadVoice,
    Message,
    Quit,
    Ready,
    SetControls,
    SetSlack,
    Suspend,
    WatchPitch,
)
from rwc_daemon.voices.repository import VoiceRepository

PR_SET_PDEATHSIG = 1
SWITCH_INTERVAL_S = 0.0005  # the loader's Python must not hold the inference thread for long
WEIGHT_BITS = "RWC_WEIGHT_BITS"  # in the environment: 16 gives the content encoder back its digits
LIVE_WEIGHT_BITS = 8  # what that takes away and gives: docs/measurements/live.md
NICE = -11  # wanted, not required: plain users may have no right to it


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the daemon, which then says Quit
    logging.basicConfig(level=logging.INFO, format="<4>%(name)s: %(message)s")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    link = SharedRings.attach(options.memory_fd, options.wake_fd)
    engine = Engine(link, Channel.from_fd(options.channel_fd), options)
    engine.run()
    return 0


class Engine:
    """Three threads and what joins them."""

    def __init__(self, link: SharedRings, channel: Channel, options: argparse.Namespace) -> None:
        self._channel, self._link = channel, link
        self._stream_config = StreamConfig(Controls())
        repository = VoiceRepository(options.data_dir, 16 if os.environ.get(WEIGHT_BITS) == "16" else LIVE_WEIGHT_BITS)
        self._loader = Loader(
            repository, options.device, lambda: self._stream_config, options.memory_mb, options.without_gpu
        )
        thread_budget = ThreadBudget.of_this_machine()
        self._inference = Inference(
            link, options.generation, self._stream_config, self._loader, self._send, thread_budget
        )

    def run(self) -> None:
        """Until Quit, or until the daemon is gone."""
        inference = threading.Thread(target=self._infer, name="inference")
        inference.start()
        self._loader.start(self._order)
        self._send(Ready(os.getpid()))
        try:
            self._listen()
        except Exception as failure:  # noqa: BLE001 - an engine that no longer hears must not live on
            self._die(failure)
        self._order(None)
        inference.join(timeout=1.0)
        # a loader in the middle of gigabytes must not keep the process: there is nothing to tidy up
        os._exit(0)

    def _listen(self) -> None:
        for message in self._channel.receive():
            if isinstance(message, Quit):
                break
            self._obey(message)

    def _obey(self, message: Message) -> None:
        match message:
            case SetControls(controls, voice):
                self._set_controls(controls, voice)
            case LoadVoice(voice, controls, number):
                if controls:
                    self._set_controls(controls, voice)
                self._loader.request(LoadRequest(voice, number=number))
            case Configure():
                self._stream_config = replace(self._stream_config, rate=message.rate, quantum=message.quantum)
                self._order(message)
            case Suspend():
                self._order(message)
                self._loader.suspend()
            case SetSlack() | WatchPitch():
                self._order(message)

    def _set_controls(self, controls: dict[str, Any], voice: str) -> None:
        config = self._stream_config.with_controls(controls, voice)
        self._order(config)  # first: what the loader still brings for the controls before is then seen to be old
        self._stream_config = config

    def _order(self, order: Order) -> None:
        self._inference.orders.put(order)
        self._link.wake()

    def _infer(self) -> None:
        raise_priority()
        try:
            self._inference.run()
        except BaseException as failure:  # noqa: BLE001 - the top of this thread: say it, then die
            self._die(failure)

    def _die(self, failure: BaseException) -> NoReturn:
        traceback.print_exception(failure)
        self._send(EngineFault("EngineFailed", last_words(failure)))
        os._exit(1)

    def _send(self, message: Message) -> None:
        try:
            self._channel.send(message)
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


def raise_priority() -> None:
    """A nicer nice value for the calling thread, where the user may. Never realtime: RLIMIT_RTTIME kills."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    except PermissionError:
        logging.getLogger(__name__).info("the inference thread runs at normal priority: no right to nice %d", NICE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rwc-engine", description="Started by rwc-daemon; not for the command line.")
    parser.add_argument("--memory-fd", type=int, required=True)
    parser.add_argument("--wake-fd", type=int, required=True)
    parser.add_argument("--channel-fd", type=int, required=True)
    parser.add_argument("--generation", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--memory-mb", type=float, default=0.0, help="voices kept in memory beside the playing one")
    parser.add_argument("--without-gpu", default="", help="the voice when the GPU fails; empty: the same on the CPU")
    return parser


if __name__ == "__main__":
    sys.exit(main())
