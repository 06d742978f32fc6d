"""What the core shows and to whom: one picture of its state, and the faces that are told of changes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from rwc_daemon.control.faults import Fault
from rwc_daemon.control.stats import Stats

LEVELS_S = 0.05


@dataclass(frozen=True)
class Status:
    """What is shown; the controls stand beside it."""

    mode: str
    """ "convert", "mute" or "bypass"."""
    input: str
    """Node name chosen, or "default"."""
    input_channel: str
    """ "auto", "left", "right" or "mix", as chosen."""
    voice: str
    """Id of the one that converts."""
    loading: str
    """Id of the one to come, or empty."""
    microphone: str
    """ "loopback", "null-sink", "jack-source", "ports" or empty."""
    state: str
    """ "starting", "idle", "live" or "degraded"."""
    device: str
    latency_ms: float
    load: float
    """Compute time over audio time."""
    listeners: int
    xruns: int
    underruns: int
    version: str


class Face(Protocol):
    """Who shows the core to others."""

    def changed(self) -> None:
        """`Core.status` or `Core.controls` may be different now."""

    def fault(self, fault: Fault) -> None: ...

    def job_progress(self, job: int, fraction: float) -> None: ...

    def job_done(self, job: int, ok: bool, result: str) -> None: ...

    def levels(self, in_db: float, out_db: float) -> None: ...


class Events:
    """All faces as one."""

    def __init__(self) -> None:
        self._faces: list[Face] = []

    def attach(self, face: Face) -> None:
        self._faces.append(face)

    def detach(self, face: Face) -> None:
        self._faces.remove(face)

    def changed(self) -> None:
        for face in self._faces:
            face.changed()

    def fault(self, fault: Fault) -> None:
        for face in self._faces:
            face.fault(fault)

    def job_progress(self, job: int, fraction: float) -> None:
        for face in self._faces:
            face.job_progress(job, fraction)

    def job_done(self, job: int, ok: bool, result: str) -> None:
        for face in self._faces:
            face.job_done(job, ok, result)

    def levels(self, in_db: float, out_db: float) -> None:
        for face in self._faces:
            face.levels(in_db, out_db)


class LevelWatch:
    """Tells levels twenty times a second, while somebody wants them."""

    def __init__(self, stats: Stats, events: Events) -> None:
        self._stats, self._events = stats, events
        self._task: asyncio.Task[None] | None = None

    @property
    def on(self) -> bool:
        return self._task is not None

    def turn(self, on: bool) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if on:
            self._task = asyncio.get_running_loop().create_task(self._watch(), name="levels")

    async def _watch(self) -> None:
        while True:
            levels = self._stats.read_levels()
            self._events.levels(levels.in_db, levels.out_db)
            await asyncio.sleep(LEVELS_S)


def own_version() -> str:
    try:
        return version("rwc-daemon")
    except PackageNotFoundError:
        return "0.1.0"  # run from a checkout
