"""A stream's loader thread: reads and warms the next voice beside the playing one, or the same one for another step.

Only the newest request counts, once any voice has come, and a voice that is in memory and warm waits for nothing.
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
from rwc_daemon.engine import native_loading
from rwc_daemon.engine.gpu_errors import gpu_trouble, release_gpu
from rwc_daemon.engine.load_request import (
    LoadedVoice,
    LoadFailed,
    LoadRequest,
    PrewarmedStep,
    StreamConfig,
    fixed_controls,
    steps_of,
)
from rwc_daemon.engine.op_queue import OpQueue
from rwc_daemon.engine.voice_cache import CachedVoice, VoiceCache, used_mb
from rwc_daemon.engine.warming import warm
from rwc_daemon.errors import MissingAsset, MissingPackage, RwcError
from rwc_daemon.families import FAMILIES
from rwc_daemon.plan import Plan
from rwc_daemon.thresholds import THRESHOLDS
from rwc_daemon.voices.base import Adjustable, VoiceInfo
from rwc_daemon.voices.quality_ladder import QualityStep
from rwc_daemon.voices.repository import VoiceRepository

AUTO = "auto"  # the tracker that suits this machine
UNPROCESSED = "plain"  # the built-in voice that is the user's own
NICE = 2  # a little gentle; more, and on a busy machine it waits for a processor with the GIL in its hand
log = logging.getLogger(__name__)


class Loader:
    """One thread. Its methods are called from others."""

    def __init__(
        self,
        repository: VoiceRepository,
        device: str,
        stream_config: Callable[[], StreamConfig],
        cache: VoiceCache,
        without_gpu: str = "",
    ) -> None:
        """`cache`: of all streams of this engine. `without_gpu`: the voice to take when the GPU fails; empty: the same
        one, on the CPU."""
        self._repository, self._device, self._stream_config, self._without_gpu = (
            repository,
            device,
            stream_config,
            without_gpu,
        )
        self._cache = cache
        self._wanted: LoadRequest | None = None
        self._doing: LoadRequest | None = None
        self._void = False  # what is being done is not wanted any more
        self._first = True  # no voice has come yet: any is better than none
        self._lost = False
        self._suspended = self._prepared = self._stopped = False
        self._change = threading.Condition()
        self._done: Callable[[LoadedVoice | PrewarmedStep | LoadFailed], None] = lambda _: None
        self.threads: Callable[[], int] = lambda: 1
        # that a playing voice's nets run on
        self.op_queue: OpQueue | None = None
        # where nets run beside a playing voice
        self.quiet: Callable[[], bool] = lambda: True
        # whether nobody listens to any stream of this engine

    def start(self, done: Callable[[LoadedVoice | PrewarmedStep | LoadFailed], None]) -> None:
        """`done`: called on the loader's thread, or from within `want`."""
        self._done = done
        threading.Thread(target=self._run, name="loader", daemon=True).start()

    def request(self, request: LoadRequest) -> None:
        ready = None if request.again else self._at_once(request)
        with self._change:
            older = self._wanted or (None if self._void else self._doing)
            if older is not None and older.voice == request.voice:
                request = replace(request, number=max(older.number, request.number))  # whoever waits for it still does
            if older is not None and request.again and (older.voice != request.voice or older.rank < request.rank):
                return  # another voice is on its way, or this one again: that will know what to do
            self._void = self._void or (self._doing is not None and request.rank <= self._doing.rank)
            if ready is not None:
                self._wanted, self._first = None, False
                self._done(replace(ready, number=request.number))
                return
            self._wanted = request
            self._change.notify()

    def suspend(self) -> None:
        """Nobody listens: a good moment for what is slow."""
        with self._change:
            self._suspended = True
            self._change.notify()

    def stop(self) -> None:
        """The stream is over: what is being done is not wanted any more, and nothing follows."""
        with self._change:
            self._stopped = self._void = True
            self._first = False
            self._change.notify()

    def lose_gpu(self, voice: str) -> None:
        """The GPU failed under `voice`: from now on there is only the CPU."""
        with self._change:
            self._lost = True
            self._wanted = self._wanted or LoadRequest(self._without_gpu or voice)
            self._change.notify()

    def _run(self) -> None:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            with self._change:
                self._change.wait_for(lambda: self._wanted is not None or self._suspended or self._stopped)
                if self._stopped:
                    return
                self._doing, self._wanted, self._void = self._wanted, None, False
                if self._lost:
                    self._forget_gpu()
            if self._doing is None:
                self._idle()
                continue
            result = self._load(self._doing)
            with self._change:
                void, self._doing = self._is_void(), None
                if result is not None and not void and not self._stopped:
                    self._first = self._first and not isinstance(result, LoadedVoice)
                    self._done(result)

    def _idle(self) -> None:
        """What is slow, where there is any voice that needs it: torch, which takes seconds, and never before the first
        voice plays, because an engine that replaces another has somebody waiting."""
        self._suspended = False
        if not self.quiet():
            return  # whoever is left alone last does it
        if self._cache.untidy:
            self._cache.untidy = False
            native_loading.collect_garbage()
        if self._prepared:
            return
        self._prepared = True
        with suppress(RwcError):
            if any(FAMILIES[info.kind].heavy for info in self._repository.list()):
                native_loading.import_all()

    def _forget_gpu(self) -> None:
        self._lost, self._device = False, "cpu"
        self._cache.clear()
        release_gpu()

    def _load(self, request: LoadRequest) -> LoadedVoice | PrewarmedStep | LoadFailed | None:
        """None where a newer request made this one void."""
        try:
            return self._ready(request)
        except RwcError as refused:
            return LoadFailed(request.voice, refused.code, str(refused), request.level, request.number)
        except RuntimeError as error:
            if gpu_trouble(error) and self._device != "cpu":
                log.warning("voice %s: the GPU %s (%s)", request.voice, gpu_trouble(error), error)
                self._forget_gpu()
                return self._load(request)
            return self._broken(request, error)
        except (MemoryError, ValueError, ArithmeticError, OSError) as broken:
            # what torch, faiss and the file system raise over weights that passed every check of the import
            return self._broken(request, broken)

    def _broken(self, request: LoadRequest, error: Exception) -> LoadFailed:
        log.error("voice %s could not be loaded", request.voice, exc_info=error)
        return LoadFailed(
            request.voice,
            "EngineFailed",
            f"voice '{request.voice}' could not be loaded ({str(error)[:200]}): free some memory and load it again, or "
            "choose another voice; 'rwcctl logs' says more",
            request.level,
            request.number,
        )

    def _at_once(self, request: LoadRequest) -> LoadedVoice | None:
        """A voice that is in memory and warm, as it stood last."""
        with suppress(RwcError, OSError):  # the thread itself will meet it, and say it
            cached = self._cache.find(self._repository.find(request.voice))
            if cached is not None and not self._lost:
                asked = self._stream_config().of(cached.info.id)
                steps = steps_of(cached.voice, asked)
                if cached.last_step[0] == steps:
                    return self._known(cached, asked, steps, cached.last_step[1])
        return None

    def _ready(self, request: LoadRequest) -> LoadedVoice | PrewarmedStep | None:
        begin = time.perf_counter()
        cached = self._voice(request.voice)
        asked = request.controls or self._stream_config().of(cached.info.id)
        found = self._at_level(cached, asked, request.level) if request.again else self._first_time(cached, asked)
        if found is None:
            return None
        if request.prewarm_only:
            return PrewarmedStep(found)
        if not request.again and fixed_controls(self._stream_config().of(cached.info.id)) != fixed_controls(asked):
            return self._ready(request)  # the user has turned a control meanwhile
        cached.last_step = (found.steps, found.level)
        load_ms = 1000 * (time.perf_counter() - begin)
        return replace(found, load_ms=load_ms, reduced=request.level is not None, number=request.number)

    def _at_level(self, cached: CachedVoice, asked: Controls, level: int | None) -> LoadedVoice | None:
        steps = steps_of(cached.voice, asked)
        return self._fitting(cached, asked, steps) if level is None else self._warmed(cached, asked, steps, level)

    def _first_time(self, cached: CachedVoice, asked: Controls) -> LoadedVoice | None:
        """A voice that has lost the tracker that it was left with begins with the one that suits this machine."""
        try:
            return self._at_level(cached, asked, None)
        except (MissingAsset, MissingPackage) as missing:
            if asked.f0_method == AUTO:
                raise
            found = self._at_level(cached, replace(asked, f0_method=AUTO), None)
            return found and replace(found, unmet=LoadFailed(cached.info.id, missing.code, str(missing)))

    def _fitting(self, cached: CachedVoice, asked: Controls, steps: tuple[QualityStep, ...]) -> LoadedVoice | None:
        """The first step that this machine keeps up with, from the one on at which the voice ran last."""
        most = THRESHOLDS.load_limit * (1 + THRESHOLDS.thread_gain * (self.threads() - 1))
        found = self._warmed(cached, asked, steps, cached.last_step[1] if cached.last_step[0] == steps else 0)
        if not isinstance(cached.voice, Adjustable):
            return found  # what a light voice costs says nothing: only what it loses does
        while found is not None and found.cost > most and found.level + 1 < len(steps):
            further = 2 if found.cost > THRESHOLDS.far_too_slow * most else 1
            try:
                found = self._warmed(cached, asked, steps, min(found.level + further, len(steps) - 1))
            except RwcError:
                break  # what that step needs is not on this machine
        return found

    def _known(
        self, cached: CachedVoice, asked: Controls, steps: tuple[QualityStep, ...], level: int
    ) -> LoadedVoice | None:
        """A step that was warmed before."""
        loaded = LoadedVoice(cached.voice, steps, level, 0.0, asked)
        compute_ms, threads = cached.warmed_ms.get(self._aim(loaded), (0.0, 0))
        return replace(loaded, compute_ms=compute_ms, threads=threads) if threads >= self.threads() else None

    def _warmed(
        self, cached: CachedVoice, asked: Controls, steps: tuple[QualityStep, ...], level: int
    ) -> LoadedVoice | None:
        known = self._known(cached, asked, steps, level)
        if known is not None:
            return known
        loaded = LoadedVoice(cached.voice, steps, level, 0.0, asked, threads=self.threads())
        aim = self._aim(loaded)
        compute_ms = warm(cached.voice, aim[0], loaded.controls, loaded.threads, self._is_void, self.op_queue)
        if compute_ms is None:
            return None
        cached.warmed(aim, compute_ms, loaded.threads)
        return replace(loaded, compute_ms=compute_ms)

    def _is_void(self) -> bool:
        """Whether what is being done may be left. The first voice of an engine is brought all the same: where the user
        asks for another one more often than one can be loaded, none would ever play. Never the one that is his own."""
        own = self._doing is not None and self._doing.voice == UNPROCESSED
        return self._void and (own or not self._first)

    def _aim(self, loaded: LoadedVoice) -> tuple[Plan, *tuple[Any, ...]]:
        """What a voice is warmed for."""
        stream_config = self._stream_config()
        plan = Plan.fit(stream_config.rate, stream_config.quantum, loaded.block)
        return (plan, *fixed_controls(loaded.controls))

    def _voice(self, wanted: str) -> CachedVoice:
        info = self._repository.find(wanted)
        with self._cache.loading(info.id):
            return self._cache.find(info) or self._read(info)

    def _read(self, info: VoiceInfo) -> CachedVoice:
        before_mb = used_mb()
        heavy = FAMILIES[info.kind].heavy
        with native_loading.without_gc():
            if heavy:
                native_loading.import_torch()
            voice = self._repository.load(info.id, self._device)
        if heavy:
            native_loading.trim_heap()  # splits huge pages: not worth it for what a light voice leaves
        cached = CachedVoice(info, voice, max(used_mb() - before_mb, info.size / 2**20))
        self._cache.add(cached)
        self._cache.untidy = True
        return cached
