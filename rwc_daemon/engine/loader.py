"""The loader thread: reads and warms the next voice beside the playing one.

Only the newest wish counts. A voice is warmed on a throwaway stream, so that its first real block is not its first;
that run also tells how long a block takes, and so how much slack the live stream needs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.engine.stream import Stream
from rwc_daemon.errors import RwcError
from rwc_daemon.plan import Plan
from rwc_daemon.voices.base import Voice
from rwc_daemon.voices.shelf import Shelf

WARM_BLOCKS = 4
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A voice that is ready to play."""

    voice: Voice
    load_ms: float
    compute_ms: float
    # a typical warm block


@dataclass(frozen=True)
class Failed:
    voice: str
    code: str
    message: str


def warm(voice: Voice, controls: Controls, rate: int = 48000) -> float:
    """Converts a little noise on a throwaway stream; milliseconds of a typical block after the first."""
    plan = Plan.fit(rate, 128, voice.block)
    stream = Stream(voice, plan, controls)
    noise = np.random.default_rng(0).normal(0, 0.1, plan.block).astype(np.float32)
    times_ms = []
    for _ in range(WARM_BLOCKS):
        begin = time.perf_counter()
        stream.convert(noise)
        times_ms.append(1000 * (time.perf_counter() - begin))
    return float(np.median(times_ms[1:]))


class Loader:
    """One thread; `want` is called from the channel's thread, `done` is called on the loader's."""

    def __init__(self, shelf: Shelf, device: str, controls: Callable[[], Controls]) -> None:
        self._shelf, self._device, self._controls = shelf, device, controls
        self._wanted: str | None = None
        self._change = threading.Condition()

    def want(self, voice: str) -> None:
        with self._change:
            self._wanted = voice
            self._change.notify()

    def run(self, done: Callable[[Loaded | Failed], None]) -> None:
        """Serves for ever; run it on a daemon thread."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._wanted is not None)
                wanted, self._wanted = self._wanted, None
            assert wanted is not None
            done(self._load(wanted))

    def _load(self, wanted: str) -> Loaded | Failed:
        begin = time.perf_counter()
        try:
            voice = self._shelf.load(wanted, self._device)
            compute_ms = warm(voice, self._controls())
        except RwcError as refused:
            return Failed(wanted, refused.code, str(refused))
        except (RuntimeError, MemoryError, ValueError, ArithmeticError, OSError) as broken:
            # what torch, faiss and the file system raise over weights that passed every check of the import
            log.exception("voice %s could not be loaded", wanted)
            return Failed(wanted, "EngineFailed", f"voice '{wanted}' could not be loaded: {broken}"[:300])
        return Loaded(voice, 1000 * (time.perf_counter() - begin), compute_ms)
