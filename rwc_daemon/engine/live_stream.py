"""One stream of an engine: its rings, its controls, its two threads.

channel thread ── orders ──▶ inference thread: ring → switcher → ring
        │                          ▲
        └── names ──▶ loader thread ── voices ┘
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rwc_daemon.controls import Controls
from rwc_daemon.engine.inference import Inference, Order
from rwc_daemon.engine.load_request import LoadRequest, StreamConfig
from rwc_daemon.engine.loader import Loader
from rwc_daemon.engine.neighbours import Neighbours
from rwc_daemon.engine.thread_budget import ThreadBudget
from rwc_daemon.engine.voice_cache import VoiceCache
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import Configure, LoadVoice, Message, SetControls, SetSlack, Suspend, WatchPitch
from rwc_daemon.voices.repository import VoiceRepository

NICE = -11  # wanted, not required: plain users may have no right to it
END_S = 1.0  # a thread that takes no order for so long hangs
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shared:
    """What all streams of an engine use."""

    repository: VoiceRepository
    device: str
    """ "auto", "cpu" or "cuda"."""
    without_gpu: str
    """See `Loader`."""
    cache: VoiceCache
    neighbours: Neighbours


class StreamHung(Exception):
    """Raised in a thread that takes no order any more."""


class LiveStream:
    """`start` and `close` once each; `obey` between them."""

    def __init__(
        self,
        link: SharedRings,
        generation: int,
        shared: Shared,
        send: Callable[[Message], None],
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        """`on_end`: called at the end of the inference thread, with what it died of."""
        self._link, self._on_end = link, on_end
        self._config = StreamConfig(Controls())
        self._loader = Loader(shared.repository, shared.device, lambda: self._config, shared.cache, shared.without_gpu)
        self._inference = Inference(
            link,
            generation,
            self._config,
            self._loader,
            send,
            ThreadBudget.of_this_machine(),
            shared.neighbours,
        )
        self._thread = threading.Thread(target=self._infer, name="inference", daemon=True)
        self._waking = threading.Lock()
        self._over = False  # there is nobody to order, and the rings are closed

    def start(self) -> None:
        self._thread.start()
        self._loader.start(self._order)

    def obey(self, message: Message) -> None:
        match message:
            case SetControls(controls, voice):
                self._set_controls(controls, voice)
            case LoadVoice(voice, controls, number):
                if controls:
                    self._set_controls(controls, voice)
                self._loader.request(LoadRequest(voice, number=number))
            case Configure():
                self._config = replace(self._config, rate=message.rate, quantum=message.quantum)
                self._order(message)
            case Suspend():
                self._order(message)
                self._loader.suspend()
            case SetSlack() | WatchPitch():
                self._order(message)

    def close(self) -> None:
        """Ends its threads; one that hangs is made to end where Python can do that."""
        self._loader.stop()
        self._order(None)
        threading.Thread(target=self._see_out, name="closing", daemon=True).start()

    def join(self, timeout_s: float) -> None:
        """Waits for the end of the inference thread."""
        self._thread.join(timeout_s)

    def _see_out(self) -> None:
        self._thread.join(END_S)
        if self._thread.is_alive() and self._thread.ident is not None:
            log.warning("a stream that is over hangs")
            raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
            raise_in(ctypes.c_ulong(self._thread.ident), ctypes.py_object(StreamHung))

    def _set_controls(self, controls: dict[str, Any], voice: str) -> None:
        config = self._config.with_controls(controls, voice)
        self._order(config)  # first: what the loader still brings for the controls before is then seen to be old
        self._config = config

    def _order(self, order: Order) -> None:
        with self._waking:
            if not self._over:
                self._inference.orders.put(order)
                self._link.wake()

    def _infer(self) -> None:
        raise_priority()
        died_of: BaseException | None = None
        try:
            self._inference.run()
        except BaseException as failure:  # noqa: BLE001 - the top of this thread: its owner says it
            died_of = failure
        self._on_end(died_of)
        self._loader.stop()
        with self._waking:
            self._over = True
            self._link.close()


def raise_priority() -> None:
    """A nicer nice value for the calling thread, where the user may. Never realtime: RLIMIT_RTTIME kills."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    except PermissionError:
        log.info("the inference thread runs at normal priority: no right to nice %d", NICE)
