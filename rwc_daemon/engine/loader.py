"""The loader thread: reads and warms the next voice beside the playing one, or the same one for another step.

Only the newest wish counts. A voice is warmed on a throwaway stream of the very plan that it will run by, so that its
first real block is not its first; that run also tells how long a block takes, and so how much slack it needs.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.engine.kept import Kept, KeptVoices, used_mb
from rwc_daemon.engine.lost import gpu_trouble, release_gpu
from rwc_daemon.engine.stream import FIXED, Stream
from rwc_daemon.errors import RwcError
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.base import Voice, block_of
from rwc_daemon.voices.shelf import Shelf

WARM_BLOCKS = 4
NICE = 5  # gentle: a thread that waits for a processor may hold Python's lock meanwhile
# loading these holds Python's lock for a third of a second each, which a playing voice would hear: torch, and what it
# and the nets import when they are first used. So they are imported while nobody listens; never before the first voice
# plays, because an engine that replaces another has somebody waiting
EARLY = ("rwc_daemon.voices.rvc.voice", "torch._dynamo", "faiss")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setup:
    """What the next stream will meet."""

    controls: Controls
    rate: int = 48000
    quantum: int = 128


@dataclass(frozen=True)
class Wish:
    """A voice, as the user's controls ask for it or, with a level, as the deadline controller does."""

    voice: str
    # id or name
    controls: Controls | None = None
    # None: those of the setup
    stretch: float = 1.0
    level: int | None = None


@dataclass(frozen=True)
class Loaded:
    """A voice that is ready to play."""

    voice: Voice
    load_ms: float
    compute_ms: float
    # processor time of a typical warm block
    controls: Controls
    # quality, tracker and speaker as warmed
    stretch: float = 1.0
    # of the voice's own block
    level: int | None = None
    # see Wish

    @property
    def block(self) -> Block:
        wanted = block_of(self.voice, self.controls)
        return Block(wanted.ms * self.stretch, wanted.on_hop)


@dataclass(frozen=True)
class Failed:
    voice: str
    code: str
    message: str
    level: int | None = None
    # see Wish


def warm(voice: Voice, plan: Plan, controls: Controls) -> float:
    """Converts a little noise on a throwaway stream; milliseconds of processor time of a typical block after the
    first. Other programs and the playing voice do not count in it."""
    stream = Stream(voice, plan, controls)
    noise = np.random.default_rng(0).normal(0, 0.1, plan.block).astype(np.float32)
    times_ms = []
    for _ in range(WARM_BLOCKS):
        begin = time.thread_time()
        stream.convert(noise)
        times_ms.append(1000 * (time.thread_time() - begin))
    return float(np.median(times_ms[1:]))


class Loader:
    """One thread. `want` and `lose_gpu` are called from others, `done` is called on the loader's."""

    def __init__(
        self, shelf: Shelf, device: str, setup: Callable[[], Setup], budget_mb: float = 0.0, without_gpu: str = ""
    ) -> None:
        """`without_gpu`: the voice to take when the GPU fails; empty: the same one, on the CPU."""
        self._shelf, self._device, self._setup, self._without_gpu = shelf, device, setup, without_gpu
        self._kept = KeptVoices(budget_mb)
        self._wanted: Wish | None = None
        self._lost = False
        self._resting = self._prepared = False
        self._change = threading.Condition()

    def want(self, wish: Wish) -> None:
        with self._change:
            again = wish.level is not None or wish.controls is not None
            if again and self._wanted is not None and self._wanted.voice != wish.voice:
                return  # another voice is on its way: the old one's step does not matter any more
            self._wanted = wish
            self._change.notify()

    def rest(self) -> None:
        """Nobody listens: a good moment for slow imports."""
        with self._change:
            self._resting = True
            self._change.notify()

    def lose_gpu(self, voice: str) -> None:
        """The GPU failed under `voice`: from now on there is only the CPU."""
        with self._change:
            self._lost = True
            self._wanted = self._wanted or Wish(self._without_gpu or voice)
            self._change.notify()

    def run(self, done: Callable[[Loaded | Failed], None]) -> None:
        """Serves for ever; run it on a daemon thread."""
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            with self._change:
                self._change.wait_for(lambda: self._wanted is not None or (self._resting and not self._prepared))
                wanted, self._wanted = self._wanted, None
                if self._lost:
                    self._forget_gpu()
            if wanted is not None:
                done(self._load(wanted))
            else:
                self._prepare()

    def _prepare(self) -> None:
        """The slow imports, where there is any voice that needs them."""
        self._prepared = True
        with suppress(RwcError):
            if any(info.kind != "builtin" for info in self._shelf.list()):
                for name in EARLY:
                    with suppress(ImportError):
                        importlib.import_module(name)

    def _forget_gpu(self) -> None:
        self._lost, self._device = False, "cpu"
        self._kept.clear()
        release_gpu()

    def _load(self, wish: Wish) -> Loaded | Failed:
        try:
            return self._ready(wish)
        except RwcError as refused:
            return Failed(wish.voice, refused.code, str(refused), wish.level)
        except RuntimeError as error:
            if gpu_trouble(error) and self._device != "cpu":
                log.warning("voice %s: the GPU %s (%s)", wish.voice, gpu_trouble(error), error)
                self._forget_gpu()
                return self._load(wish)
            return self._broken(wish, error)
        except (MemoryError, ValueError, ArithmeticError, OSError) as broken:
            # what torch, faiss and the file system raise over weights that passed every check of the import
            return self._broken(wish, broken)

    def _broken(self, wish: Wish, error: Exception) -> Failed:
        log.error("voice %s could not be loaded", wish.voice, exc_info=error)
        return Failed(
            wish.voice,
            "EngineFailed",
            f"voice '{wish.voice}' could not be loaded ({str(error)[:200]}): free some memory and load it again, or "
            "choose another voice; 'rwcctl logs' says more",
            wish.level,
        )

    def _ready(self, wish: Wish) -> Loaded:
        begin = time.perf_counter()
        kept = self._voice(wish.voice)
        setup = self._setup()
        loaded = Loaded(kept.voice, 0.0, 0.0, wish.controls or setup.controls, wish.stretch, wish.level)
        plan = Plan.fit(setup.rate, setup.quantum, loaded.block)
        aim = (plan, *(getattr(loaded.controls, name) for name in FIXED))
        if aim not in kept.warmed_ms:
            kept.warmed_ms[aim] = warm(kept.voice, plan, loaded.controls)
        load_ms = 1000 * (time.perf_counter() - begin)
        return replace(loaded, load_ms=load_ms, compute_ms=kept.warmed_ms[aim])

    def _voice(self, wanted: str) -> Kept:
        info = self._shelf.find(wanted)
        kept = self._kept.find(info)
        if kept is None:
            before_mb = used_mb()
            voice = self._shelf.load(wanted, self._device)
            kept = Kept(info, voice, max(used_mb() - before_mb, info.size / 2**20))
            self._kept.add(kept)
        return kept
