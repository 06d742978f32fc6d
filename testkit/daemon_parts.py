"""What tests of the daemon stand on: a private session bus, a whole core on the pretended audio floor."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from rwc_daemon.control.api import DaemonApi, FaultReported, LevelsMeasured
from rwc_daemon.control.audio_backend import AudioBackend
from rwc_daemon.control.core import Core
from rwc_daemon.host.notify import Notifier
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.settings import Settings
from testkit.pretended_audio import Graph

DEADLINE_S = 30.0


class Bus:
    """A dbus-daemon of our own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def kill(self) -> None:
        """Idempotent."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


@contextmanager
def session_bus() -> Iterator[Bus]:
    bus = Bus()
    try:
        yield bus
    finally:
        bus.kill()


class Heard:
    """A subscriber that remembers."""

    def __init__(self, api: DaemonApi) -> None:
        self._events = api.subscribe()
        self.faults: list[FaultReported] = []
        self.seen_levels: list[LevelsMeasured] = []

    async def run(self) -> None:
        async for event in self._events:
            match event:
                case FaultReported():
                    self.faults.append(event)
                case LevelsMeasured():
                    self.seen_levels.append(event)

    def close(self) -> None:
        self._events.close()


class Whole:
    """A core, its pretended graph, and what it said."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.link = SharedRings.create()
        self.graph: Graph
        data, state = folder / "data", folder / "state"
        self.core = Core(settings, self.link, self._audio, data, state, Notifier("", ""))
        self.api = DaemonApi(self.core)
        self.heard = Heard(self.api)

    def _audio(self, link: SharedRings, settings: Settings, saved_input: str) -> AudioBackend:
        self.graph = Graph(link, saved_input)
        return self.graph.audio

    async def until(self, what: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        async with asyncio.timeout(deadline_s):
            while not what():
                await asyncio.sleep(0.005)

    async def until_state(self, state: str) -> None:
        await self.until(lambda: self.api.status.state == state)


@asynccontextmanager
async def whole_core(folder: Path, settings: Settings | None = None) -> AsyncIterator[Whole]:
    """Started; idle once its voice is loaded."""
    whole = Whole(folder, settings or Settings())
    hearing = asyncio.create_task(whole.heard.run())
    await whole.core.start()
    try:
        yield whole
    finally:
        whole.heard.close()
        await hearing
        await whole.core.stop()
        whole.link.close()
