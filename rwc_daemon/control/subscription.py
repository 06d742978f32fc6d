"""What the daemon tells by itself, as a stream of events: `async for event in api.subscribe()`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Self

from rwc_daemon.control.events import Status
from rwc_daemon.control.faults import Fault
from rwc_daemon.controls import Controls

FIGURES_S = 0.1  # figures are told at most so often; what a user or a program set is told at once
FIGURES = ("device", "latency_ms", "load", "xruns", "underruns", "version")
MOST_QUEUED = 1000  # with more of them unread, levels and progress are left out: the next ones say more


@dataclass(frozen=True)
class StateChanged:
    """The status or the controls are different now."""

    status: Status
    controls: Controls


@dataclass(frozen=True)
class FaultReported:
    """A fault has begun, or its words have changed."""

    code: str
    message: str


@dataclass(frozen=True)
class JobAdvanced:
    """A job has got on."""

    job: int
    fraction: float
    """0 … 1."""


@dataclass(frozen=True)
class JobEnded:
    """A job is over."""

    job: int
    ok: bool
    result: str
    """Ids of voices, or why it failed."""


@dataclass(frozen=True)
class LevelsMeasured:
    """Peaks since the last one, dB full scale; only while somebody watches levels."""

    in_db: float
    out_db: float


Told = StateChanged | FaultReported | JobAdvanced | JobEnded | LevelsMeasured


class Subscription:
    """An endless async iterator; `close` ends it. It belongs to the event loop's thread."""

    def __init__(self, look: Callable[[], StateChanged], closed: Callable[[Subscription], None]) -> None:
        """`look` answers with the present state; `closed` is told of the end."""
        self._look, self._closed = look, closed
        self._queue: asyncio.Queue[Told | None] = asyncio.Queue()
        self._told = look()
        self._unread = False
        self._timer: asyncio.TimerHandle | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Told:
        told = await self._queue.get()
        if told is None:
            raise StopAsyncIteration
        if isinstance(told, StateChanged):
            self._unread = False
            return self._told  # the newest: whoever reads slowly skips what is no longer so
        return told

    def close(self) -> None:
        """No more events come, and whoever waits for one is let go."""
        if self._timer is not None:
            self._timer.cancel()
        self._queue.put_nowait(None)
        self._closed(self)

    # ---- told by the core (see `events.Face`) ----

    def changed(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None and self._timer.when() <= loop.time():
            return  # told in a moment
        now = self._look()
        if _without_figures(now) != _without_figures(self._told):
            self._tell_after(0.0)
        elif self._timer is None and now != self._told:
            self._tell_after(FIGURES_S)

    def fault(self, fault: Fault) -> None:
        self._queue.put_nowait(FaultReported(fault.code, fault.message))

    def job_progress(self, job: int, fraction: float) -> None:
        if self._queue.qsize() < MOST_QUEUED:
            self._queue.put_nowait(JobAdvanced(job, fraction))

    def job_done(self, job: int, ok: bool, result: str) -> None:
        self._queue.put_nowait(JobEnded(job, ok, result))

    def levels(self, in_db: float, out_db: float) -> None:
        if self._queue.qsize() < MOST_QUEUED:
            self._queue.put_nowait(LevelsMeasured(in_db, out_db))

    def _tell_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._tell)

    def _tell(self) -> None:
        self._timer = None
        now = self._look()
        if now != self._told:
            self._told = now
            if not self._unread:
                self._unread = True
                self._queue.put_nowait(now)


def _without_figures(state: StateChanged) -> tuple[Controls, dict[str, object]]:
    return state.controls, {name: value for name, value in asdict(state.status).items() if name not in FIGURES}
