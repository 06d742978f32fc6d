"""The loader thread: reads and warms the next voice beside the playing one, or the same one for another step.

Only the newest wish counts, once any voice has come, and a voice that is in memory and warm waits for nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from rwc_daemon.controls import Controls
from rwc_daemon.engine import heavy
from rwc_daemon.engine.deadline import FULL, Step
from rwc_daemon.engine.errands import Errands
from rwc_daemon.engine.kept import Kept, KeptVoices, used_mb
from rwc_daemon.engine.lost import gpu_trouble, release_gpu
from rwc_daemon.engine.warming import warm
from rwc_daemon.engine.wish import Failed, Loaded, Setup, Warmed, Wish, fixed, steps_of
from rwc_daemon.errors import RwcError
from rwc_daemon.plan import Plan
from rwc_daemon.voices.base import Adjustable
from rwc_daemon.voices.shelf import Shelf

UNPROCESSED = "plain"  # the built-in voice that is the user's own
NICE = 2  # a little gentle; more, and on a busy machine it waits for a processor with Python's lock in its hand
GAIN = 0.5  # of a core, what each further thread is taken to bring
FAR = 1.5  # a step that is so much too slow is not worth trying the next one for
log = logging.getLogger(__name__)


class Loader:
    """One thread. Its methods are called from others."""

    def __init__(
        self, shelf: Shelf, device: str, setup: Callable[[], Setup], budget_mb: float = 0.0, without_gpu: str = ""
    ) -> None:
        """`without_gpu`: the voice to take when the GPU fails; empty: the same one, on the CPU."""
        self._shelf, self._device, self._setup, self._without_gpu = shelf, device, setup, without_gpu
        self._kept = KeptVoices(budget_mb)
        self._wanted: Wish | None = None
        self._doing: Wish | None = None
        self._void = False  # what is being done is not wanted any more
        self._first = True  # no voice has come yet: any is better than none
        self._lost = False
        self._resting = self._prepared = self._untidy = False
        self._change = threading.Condition()
        self._done: Callable[[Loaded | Warmed | Failed], None] = lambda _: None
        self.threads: Callable[[], int] = lambda: 1
        # that a playing voice's nets run on
        self.errands: Errands | None = None
        # where nets run beside a playing voice

    def start(self, done: Callable[[Loaded | Warmed | Failed], None]) -> None:
        """`done`: called on the loader's thread, or from within `want`."""
        self._done = done
        threading.Thread(target=self._run, name="loader", daemon=True).start()

    def want(self, wish: Wish) -> None:
        ready = None if wish.again else self._at_once(wish)
        with self._change:
            older = self._wanted or (None if self._void else self._doing)
            if older is not None and wish.again and (older.voice != wish.voice or older.rank < wish.rank):
                return  # another voice is on its way, or this one anew: that will know what to do
            self._void = self._void or (self._doing is not None and wish.rank <= self._doing.rank)
            if ready is not None:
                self._wanted, self._first = None, False
                self._done(ready)
                return
            self._wanted = wish
            self._change.notify()

    def rest(self) -> None:
        """Nobody listens: a good moment for what is slow."""
        with self._change:
            self._resting = True
            self._change.notify()

    def lose_gpu(self, voice: str) -> None:
        """The GPU failed under `voice`: from now on there is only the CPU."""
        with self._change:
            self._lost = True
            self._wanted = self._wanted or Wish(self._without_gpu or voice)
            self._change.notify()

    def _run(self) -> None:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            with self._change:
                self._change.wait_for(lambda: self._wanted is not None or self._resting)
                self._doing, self._wanted, self._void = self._wanted, None, False
                if self._lost:
                    self._forget_gpu()
            if self._doing is None:
                self._rest()
                continue
            result = self._load(self._doing)
            with self._change:
                void, self._doing = self._is_void(), None
                if result is not None and not void:
                    self._first = self._first and not isinstance(result, Loaded)
                    self._done(result)

    def _rest(self) -> None:
        """What is slow, where there is any voice that needs it: torch, which takes seconds, and never before the first
        voice plays, because an engine that replaces another has somebody waiting."""
        self._resting = False
        if self._untidy:
            self._untidy = False
            heavy.collect()
        if self._prepared:
            return
        self._prepared = True
        with suppress(RwcError):
            if any(info.kind != "builtin" for info in self._shelf.list()):
                heavy.bring_in()

    def _forget_gpu(self) -> None:
        self._lost, self._device = False, "cpu"
        self._kept.clear()
        release_gpu()

    def _load(self, wish: Wish) -> Loaded | Warmed | Failed | None:
        """None where a newer wish made this one void."""
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

    def _at_once(self, wish: Wish) -> Loaded | None:
        """A voice that is in memory and warm, as it stood last."""
        with suppress(RwcError, OSError):  # the thread itself will meet it, and say it
            kept = self._kept.find(self._shelf.find(wish.voice))
            if kept is not None and not self._lost:
                asked = self._setup().controls
                steps = steps_of(kept.voice, asked)
                if kept.stood[0] == steps:
                    return self._known(kept, asked, steps, kept.stood[1])
        return None

    def _ready(self, wish: Wish) -> Loaded | Warmed | None:
        begin = time.perf_counter()
        kept = self._voice(wish.voice)
        asked = wish.controls or self._setup().controls
        steps = steps_of(kept.voice, asked)
        if wish.level is not None:
            found = self._warmed(kept, asked, steps, wish.level)
        else:
            found = self._fitting(kept, asked, steps)
        if found is None:
            return None
        if wish.only_warm:
            return Warmed(found)
        if not wish.again and fixed(self._setup().controls) != fixed(asked):
            return self._ready(wish)  # the user has turned a knob meanwhile
        kept.stood = (steps, found.level)
        return replace(found, load_ms=1000 * (time.perf_counter() - begin), eased=wish.level is not None)

    def _fitting(self, kept: Kept, asked: Controls, steps: tuple[Step, ...]) -> Loaded | None:
        """The first step that this machine keeps up with, from the one on at which the voice ran last."""
        most = FULL * (1 + GAIN * (self.threads() - 1))
        found = self._warmed(kept, asked, steps, kept.stood[1] if kept.stood[0] == steps else 0)
        if not isinstance(kept.voice, Adjustable):
            return found  # what a light voice costs says nothing: only what it loses does
        while found is not None and found.cost > most and found.level + 1 < len(steps):
            further = 2 if found.cost > FAR * most else 1
            try:
                found = self._warmed(kept, asked, steps, min(found.level + further, len(steps) - 1))
            except RwcError:
                break  # what that step needs is not on this machine
        return found

    def _known(self, kept: Kept, asked: Controls, steps: tuple[Step, ...], level: int) -> Loaded | None:
        """A step that was warmed before."""
        loaded = Loaded(kept.voice, steps, level, 0.0, asked)
        compute_ms, threads = kept.warmed_ms.get(self._aim(loaded), (0.0, 0))
        return replace(loaded, compute_ms=compute_ms, threads=threads) if threads >= self.threads() else None

    def _warmed(self, kept: Kept, asked: Controls, steps: tuple[Step, ...], level: int) -> Loaded | None:
        known = self._known(kept, asked, steps, level)
        if known is not None:
            return known
        loaded = Loaded(kept.voice, steps, level, 0.0, asked, threads=self.threads())
        aim = self._aim(loaded)
        compute_ms = warm(kept.voice, aim[0], loaded.controls, loaded.threads, self._is_void, self.errands)
        if compute_ms is None:
            return None
        kept.warmed(aim, compute_ms, loaded.threads)
        return replace(loaded, compute_ms=compute_ms)

    def _is_void(self) -> bool:
        """Whether what is being done may be left. The first voice of an engine is brought all the same: where the user
        asks for another one more often than one can be loaded, none would ever play. Never the one that is his own."""
        own = self._doing is not None and self._doing.voice == UNPROCESSED
        return self._void and (own or not self._first)

    def _aim(self, loaded: Loaded) -> tuple[Plan, *tuple[Any, ...]]:
        """What a voice is warmed for."""
        setup = self._setup()
        plan = Plan.fit(setup.rate, setup.quantum, loaded.block)
        return (plan, *fixed(loaded.controls))

    def _voice(self, wanted: str) -> Kept:
        info = self._shelf.find(wanted)
        kept = self._kept.find(info)
        if kept is None:
            before_mb = used_mb()
            with heavy.uncollected():
                if info.kind != "builtin":
                    heavy.bring_in_torch()
                voice = self._shelf.load(wanted, self._device)
            if info.kind != "builtin":
                heavy.give_back()  # what a built-in one leaves is not worth the large pages that this takes apart
            kept = Kept(info, voice, max(used_mb() - before_mb, info.size / 2**20))
            self._kept.add(kept)
            self._untidy = True
        return kept
