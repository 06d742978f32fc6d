"""What tests of the daemon stand on: a private session bus, a whole core on the pretended audio floor."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from rwc_daemon.control.api import DaemonApi
from rwc_daemon.control.audio_backend import AudioBackend
from rwc_daemon.control.core import Core
from rwc_daemon.control.faults import Fault
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
    """A face that remembers."""

    def __init__(self) -> None:
        self.changes = 0
        self.faults: list[Fault] = []
        self.done: list[tuple[int, bool, str]] = []
        self.seen_levels: list[tuple[float, float]] = []

    def changed(self) -> None:
        self.changes += 1

    def fault(self, fault: Fault) -> None:
        self.faults.append(fault)

    def job_progress(self, job: int, fraction: float) -> None:
        pass

    def job_done(self, job: int, ok: bool, result: str) -> None:
        self.done.append((job, ok, result))

    def levels(self, in_db: float, out_db: float) -> None:
        self.seen_levels.append((in_db, out_db))


class Whole:
    """A core, its pretended graph, and what it said."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.link = SharedRings.create()
        self.graph: Graph
        data, state = folder / "data", folder / "state"
        self.core = Core(settings, self.link, self._audio, data, state, Notifier("", ""))
        self.heard = Heard()
        self.core.attach(self.heard)
        self.api = DaemonApi(self.core)

    def _audio(self, link: SharedRings, settings: Settings, saved_input: str) -> AudioBackend:
        self.graph = Graph(link, saved_input)
        return self.graph.audio

    async def until(self, what: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        async with asyncio.timeout(deadline_s):
            while not what():
                await asyncio.sleep(0.005)

    async def until_state(self, state: str) -> None:
        await self.until(lambda: self.core.status.state == state)


@asynccontextmanager
async def whole_core(folder: Path, settings: Settings | None = None) -> AsyncIterator[Whole]:
    """Started; idle once its voice is loaded."""
    whole = Whole(folder, settings or Settings())
    await whole.core.start()
    try:
        yield whole
    finally:
        await whole.core.stop()
        whole.link.close()
