"""Listener-driven life: somebody records RWC Mic → the JACK client is open and linked; nobody → it is closed.

Everything that may block on an audio server runs in one thread of its own, in order; the decisions are the event
loop's. `_step` compares what should be with what is, at every event and every second while engaged, for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from rwc_daemon.control.faults import Faults
from rwc_daemon.errors import NoAudioServer, RwcError
from rwc_daemon.host.journal import LISTENER, MICROPHONE, event

if TYPE_CHECKING:  # the audio floor is handed in
    from rwc_daemon.audio.client import AudioClient
    from rwc_daemon.audio.listeners import Listeners
    from rwc_daemon.audio.microphone import Microphone
    from rwc_daemon.audio.routing import Input, Router

log = logging.getLogger(__name__)
T = TypeVar("T")

ENGAGED_S = 1.0
IDLE_S = 5.0
LINGER_S = 0.5  # a recorder that reopens its stream finds the client still there
STALE_S = 2.0  # no graph cycle for so long while engaged: the server is gone, whatever it says
STUCK_S = 10.0  # one call to the audio server takes longer: only a new process helps
CLOSE_S = 4.0
PROBE = "rwc-probe"  # the JACK client of `rwcctl latency` and `demo`


@dataclass(frozen=True)
class Audio:
    """The four parts of the audio floor."""

    client: AudioClient
    microphone: Microphone
    router: Router
    listeners: Listeners


class Owner(Protocol):
    """Who is told; all in the event loop's thread."""

    def graph_changed(self, rate: int, quantum: int) -> None:
        """The client is open in this graph: convert for it."""

    def graph_left(self) -> None:
        """The client is closed: rest."""

    def changed(self) -> None:
        """Something that is shown changed."""


class Life:
    """Owns client, microphone, router and listeners."""

    def __init__(self, audio: Audio, always: bool, faults: Faults, owner: Owner) -> None:
        self._audio, self._always, self._faults, self._owner = audio, always, faults, owner
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audio")
        self._poked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._graph: tuple[int, int] | None = None
        self._left_at = 0.0
        self._call_began = 0.0
        self._stale_s = 0.0
        self.listeners = 0
        self.tier = ""
        # how RWC Mic is made; empty: it is not there
        self.rehearsing = False
        # open without links, to learn latency and to warm up

    @property
    def engaged(self) -> bool:
        """Somebody listens (or always) and the client runs."""
        return self._graph is not None and self._wanted

    @property
    def _wanted(self) -> bool:
        return self._always or self.listeners > 0

    @property
    def capturing(self) -> bool:
        return self._audio.client.is_open and self._audio.router.engaged

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def look(_: str) -> None:
            loop.call_soon_threadsafe(self.poke)

        self._audio.client.on_change = look
        self._audio.listeners.on_change = lambda count: loop.call_soon_threadsafe(self._listeners_are, count)
        self._audio.listeners.start()
        self._task = loop.create_task(self._run(), name="life")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(RwcError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._call(self._leave)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def poke(self) -> None:
        """Look now."""
        self._poked.set()

    async def inputs(self) -> list[Input]:
        return await self._call(self._audio.router.inputs)

    async def restore_input(self, name: str) -> None:
        """The choice of the last time; a microphone that is not plugged in today stays the choice."""
        with suppress(RwcError):
            await self._call(self._audio.router.choose, name)

    async def choose_input(self, name: str) -> None:
        """Raises NoSuchInput and changes nothing."""
        await self._call(self._audio.router.choose, name)
        self.poke()

    def transient(self, name: str) -> bool:
        """Chosen for a measurement, not to be saved."""
        return name == PROBE

    @property
    def input(self) -> str:
        """The node that feeds us, or the one chosen."""
        return self._audio.router.current

    def trouble(self) -> str:
        """Why this process should be replaced, or nothing."""
        if self._task is not None and self._task.done():
            return "the audio side ended"
        busy_s = asyncio.get_running_loop().time() - self._call_began if self._call_began else 0.0
        return f"a call to the audio server has not returned for {busy_s:.0f} s" if busy_s > STUCK_S else ""

    def _listeners_are(self, count: int) -> None:
        if count == self.listeners:
            return
        event(log, LISTENER, f"{count} listening to RWC Mic", RWC_LISTENERS=count)
        if not count:
            self._left_at = asyncio.get_running_loop().time()
        self.listeners = count
        self.poke()
        self._owner.changed()

    async def _run(self) -> None:
        while True:
            self._poked.clear()
            try:
                await self._step()
            except RwcError as failed:
                self._faults.begin_with("audio", failed)
            self._owner.changed()
            with suppress(TimeoutError):
                # not wait_for: that of 3.11 loses a cancel that comes together with the event
                async with asyncio.timeout(self._pause_s()):
                    await self._poked.wait()

    def _pause_s(self) -> float:
        if self._wanted or self.rehearsing or not self.tier:
            return ENGAGED_S
        return LINGER_S if self._graph else IDLE_S

    async def _step(self) -> None:
        await self._keep_microphone()
        if self._wanted or self.rehearsing:
            await self._engage()
        elif self._graph and asyncio.get_running_loop().time() - self._left_at >= LINGER_S:
            await self._release()
        self._faults.end("audio")

    async def _keep_microphone(self) -> None:
        try:
            tier = await self._call(self._audio.microphone.ensure)
        except RwcError:
            self.tier = ""
            raise
        if tier != self.tier:
            event(log, MICROPHONE, f"RWC Mic is there ({tier})", RWC_TIER=tier)
        self.tier = tier

    async def _engage(self) -> None:
        client = self._audio.client
        if self._graph and self.listeners and self._is_stale():
            await self._release()
            raise NoAudioServer("the audio server stopped serving: RWC Mic is silent and will be back by itself")
        if not client.is_open:
            await self._call(client.open)
            self._stale_s = 0.0
        graph = (client.rate, client.quantum)
        if graph != self._graph:
            self._graph = graph
            self._owner.graph_changed(*graph)
        self._audio.router.engaged = self._wanted
        await self._call(self._audio.router.reconcile)

    def _is_stale(self) -> bool:
        self._stale_s = 0.0 if self._audio.client.alive() else self._stale_s + ENGAGED_S
        return self._stale_s >= STALE_S

    async def _release(self) -> None:
        self._graph = None
        self._owner.graph_left()
        await self._call(self._close)

    def _close(self) -> None:
        self._audio.router.engaged = False
        if self._audio.client.is_open:
            self._audio.router.reconcile()
            self._audio.client.close()

    def _leave(self) -> None:
        self._close()
        self._audio.listeners.stop()
        self._audio.microphone.stop()

    async def _call(self, work: Callable[..., T], *args: object) -> T:
        """`work` in the audio thread; calls queue up behind each other."""
        loop = asyncio.get_running_loop()

        def timed() -> T:
            self._call_began = loop.time()
            try:
                return work(*args)
            finally:
                self._call_began = 0.0

        return await loop.run_in_executor(self._thread, timed)
