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
from typing import Protocol, TypeVar

from rwc_daemon.audio.input_choice import InputChoice
from rwc_daemon.audio.programs import SERVER, pulse_server
from rwc_daemon.audio.routing import Input
from rwc_daemon.control.audio_backend import AudioBackend
from rwc_daemon.control.dependencies import HOLDER, Dependencies
from rwc_daemon.control.faults import Faults
from rwc_daemon.control.linking import Linking
from rwc_daemon.control.outage import Outage
from rwc_daemon.errors import NoAudioServer, NoSuchInput, RwcError
from rwc_daemon.host.journal import GRAPH, INPUT, LISTENER, MICROPHONE, event

log = logging.getLogger(__name__)
T = TypeVar("T")

ENGAGED_S = 1.0
IDLE_S = 10.0
UNSETTLED_S = 0.5
LINGER_S = 0.5  # a recorder that reopens its stream finds the client still there
STALE_S = 2.0  # no graph cycle for so long while engaged: the server is gone, whatever it says
SETTLED_S = 1.5
SEARCH_S = 2.0
STUCK_S = 10.0  # one call to the audio server takes longer: only a new process helps
CLOSE_S = 4.0
GUARD_S = 0.5  # between two looks at what comes out of RWC Mic
STALLED = "RWC Mic stood still and programs heard nothing for a second: the process that holds it was started again"
RETURNED = (
    "{} recorded the microphone itself while RWC was away, although its user had put it on RWC Mic: it is back there"
)
PROBE = "rwc-probe"  # the JACK client of `rwcctl latency` and `demo`


class ActivityListener(Protocol):
    """Who is told; all in the event loop's thread."""

    def graph_changed(self, rate: int, quantum: int) -> None:
        """The client is open in this graph: convert for it."""

    def graph_left(self) -> None:
        """The client is closed: rest."""

    def changed(self) -> None:
        """Something that is shown changed."""


class Activity:
    """Owns client, microphone, router and listeners."""

    def __init__(self, audio: AudioBackend, always: bool, faults: Faults, owner: ActivityListener) -> None:
        self._audio, self._always, self._faults, self._owner = audio, always, faults, owner
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audio")
        self._poked = asyncio.Event()
        self._moved = asyncio.Event()
        self._following = asyncio.Event()
        self._listened = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._probing = False
        self._chosen = audio.router.choice
        self._outage, self._dependencies, self.linking = Outage(faults), Dependencies(faults), Linking(faults)
        self._graph: tuple[int, int] | None = None
        self._fed_by = ""
        self._left_at = self._opened_at = 0.0
        self._call_began = 0.0
        self._stale_s = 0.0
        self.listeners = 0
        self.stalls = 0
        # times that RWC Mic passed nothing on and was made again
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
    def _settled(self) -> bool:
        """A client that was just opened has not shown yet that the server serves it."""
        age_s = asyncio.get_running_loop().time() - self._opened_at
        return not self._graph or not self.listeners or (age_s > SETTLED_S and not self._stale_s)

    @property
    def capturing(self) -> bool:
        return self._audio.client.is_open and self._audio.router.engaged

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def poke(*_: object) -> None:
            loop.call_soon_threadsafe(self.poke)

        def returned(names: list[str]) -> None:
            loop.call_soon_threadsafe(self._faults.happened, "Interrupted", RETURNED.format(", ".join(names)))

        self._audio.client.on_change = self._audio.watch.on_change = poke
        self._audio.listeners.on_return = returned
        works = {"activity": self._run(), "listeners": self._look(), "output": self._guard_output()}
        self._tasks = [loop.create_task(work, name=name) for name, work in works.items()]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        with suppress(RwcError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._call(self._leave)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def poke(self) -> None:
        """Look now."""
        self._poked.set()
        self._moved.set()

    async def inputs(self) -> list[Input]:
        return await self._call(self._audio.router.inputs)

    async def choose_input(self, name: str) -> str:
        """Answers with what to save: the node's name, or the choice before where this one is for a measurement only.
        Raises NoSuchInput and changes nothing."""
        before = self._audio.router.choice
        await self._call(self._audio.router.choose, name)
        self._probing = self._audio.router.choice == PROBE
        if not self._probing:
            self._chosen = self._audio.router.choice
        elif before != PROBE:
            self._chosen = before
        self.poke()
        return self._chosen

    @property
    def input(self) -> InputChoice:
        """The node that feeds us, or that would, and why it is not the chosen one."""
        return self._audio.router.decide()

    def check(self) -> None:
        """Raises what has ended the audio side."""
        for task in self._tasks:
            if task.done():
                task.result()

    def trouble(self) -> str:
        """Why this process should be replaced, or nothing."""
        busy_s = asyncio.get_running_loop().time() - self._call_began if self._call_began else 0.0
        return f"a call to the audio server has not returned for {busy_s:.0f} s" if busy_s > STUCK_S else ""

    def _listeners_are(self, count: int) -> None:
        if count == self.listeners:
            return
        event(log, LISTENER, f"{count} listening to RWC Mic", RWC_LISTENERS=count)
        if not count:
            self._left_at = asyncio.get_running_loop().time()
        self.listeners = count
        if count:
            self._listened.set()
        else:
            self._listened.clear()
        self.poke()
        self._owner.changed()

    async def _look(self) -> None:
        """Who listens; apart from `_run`, which may have to wait while a lost recorder must be muted."""
        await self._find_server()
        self._following.set()
        while True:
            self._moved.clear()
            self._listeners_are(await asyncio.to_thread(self._audio.listeners.look))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._moved.wait()

    async def _guard_output(self) -> None:
        """While somebody records: that what we play comes out of RWC Mic, too."""
        while True:
            await self._listened.wait()
            await asyncio.sleep(GUARD_S)
            if self.engaged and await asyncio.to_thread(self._audio.output.stands_still):
                await self._restart_microphone()

    async def _restart_microphone(self) -> None:
        self.stalls += 1
        self._dependencies.expect(HOLDER)
        self._faults.happened("Interrupted", STALLED)
        await self._call(self._audio.microphone.restart)
        self.poke()

    async def _find_server(self) -> None:
        """There may be none yet: it is looked for until there is one."""
        while True:
            try:
                return await asyncio.to_thread(self._audio.follow)
            except NoAudioServer as none:
                self._outage.goes_on(none)
                self._owner.changed()
            await asyncio.sleep(SEARCH_S)

    async def _run(self) -> None:
        await self._following.wait()
        while True:
            self._poked.clear()
            try:
                await self._step()
            except RwcError as failed:
                self._outage.goes_on(failed)
            self._owner.changed()
            with suppress(TimeoutError):
                # not wait_for: that of 3.11 loses a cancel that comes together with the event
                async with asyncio.timeout(self._pause_s()):
                    await self._poked.wait()

    def _pause_s(self) -> float:
        if self.linking.unsettled:
            return UNSETTLED_S
        if self._wanted or self.rehearsing or self._audio.ports_only or not self.tier or self._dependencies.unsettled:
            return ENGAGED_S
        return LINGER_S if self._graph else IDLE_S

    async def _step(self) -> None:
        if self._outage.swept_away(self._audio.watch.graph().identity(SERVER)) and self._graph:
            self._outage.begin()
            await self._release()
        await self._keep_microphone()
        self._dependencies.look(self._audio.watch.graph(), pulse_server())
        self.linking.look(self._audio.watch.graph())
        if self._wanted or self.rehearsing:
            await self._engage()
        elif self._graph and asyncio.get_running_loop().time() - self._left_at >= LINGER_S:
            await self._release(stay=self._audio.ports_only)
        if self._audio.ports_only:
            await self._call(self._audio.client.open)
        elif removed := await self._call(self._audio.strays.remove):
            event(log, GRAPH, f"closed {removed} JACK clients of ours that were left over", logging.WARNING)
        self._outage.ends(self._settled)

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
            self._outage.begin()
            await self._release()
        if not client.is_open:
            self._stale_s, self._opened_at = 0.0, asyncio.get_running_loop().time()
        await self._call(client.open)
        graph = (client.rate, client.quantum)
        if graph != self._graph:
            if self.engaged:
                event(log, GRAPH, f"the graph now runs at {client.rate} Hz with quantum {client.quantum}")
            self._graph = graph
            self._owner.graph_changed(*graph)
        self._audio.router.engaged = self._wanted
        await self._call(self._audio.router.reconcile)
        if self._wanted:
            await self._check_input()

    async def _check_input(self) -> None:
        self._say_input(self._audio.router.current)
        choice = self._audio.router.decide()
        if not choice.fault:
            self._faults.end("input")
        elif self._probing:
            self._probing = False
            with suppress(NoSuchInput):
                await self._call(self._audio.router.choose, self._chosen)
        else:
            self._faults.begin("input", "NoSuchInput", choice.note)

    def _say_input(self, name: str) -> None:
        if not name or name in (self._fed_by, PROBE):
            return
        event(log, INPUT, f"the microphone is now '{name}'", RWC_INPUT=name)
        self._fed_by = name

    def _is_stale(self) -> bool:
        self._stale_s = 0.0 if self._audio.client.alive() else self._stale_s + ENGAGED_S
        return self._stale_s >= STALE_S

    async def _release(self, stay: bool = False) -> None:
        """`stay`: the client stays open, without links to a microphone."""
        self._graph = None
        self._faults.end("input")
        self._owner.graph_left()
        await self._call(self._unlink if stay else self._close)

    def _unlink(self) -> None:
        self._audio.router.engaged = False
        if self._audio.client.is_open:
            self._audio.router.reconcile()

    def _close(self) -> None:
        self._unlink()
        self._audio.client.close()

    def _leave(self) -> None:
        self._close()
        self._audio.leave()

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
