"""Slow work with a number: it runs in a thread, tells its progress, can be cancelled, and ends in one event."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Protocol

from rwc_daemon.errors import Busy, Cancelled, NoSuchJob, RwcError

log = logging.getLogger(__name__)

AT_ONCE = 4
STEP = 0.01  # progress finer than this is not told

Progress = Callable[[float], None]
Work = Callable[[Progress, Callable[[], bool]], str]  # (progress, cancelled) → the result, in words


class Listener(Protocol):
    def job_progress(self, job: int, fraction: float) -> None: ...

    def job_done(self, job: int, ok: bool, result: str) -> None: ...


class Jobs:
    """Numbers start at 1. Call from the event loop's thread; `listener` hears in the same."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._cancels: dict[int, threading.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 1

    def start(self, work: Work) -> int:
        """Begins `work` in a thread; raises Busy when too many run already."""
        if len(self._cancels) >= AT_ONCE:
            raise Busy(f"{AT_ONCE} jobs run already: wait for one to end, or cancel one")
        job, self._next = self._next, self._next + 1
        self._cancels[job] = threading.Event()
        task = asyncio.get_running_loop().create_task(self._run(job, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def cancel(self, job: int) -> None:
        """Asks it to stop; it then ends as not ok. Raises NoSuchJob."""
        if job not in self._cancels:
            running = ", ".join(map(str, self._cancels)) or "none"
            raise NoSuchJob(f"no job {job} runs; running: {running}")
        self._cancels[job].set()

    async def stop(self) -> None:
        """Cancels all and waits for them."""
        for cancel in self._cancels.values():
            cancel.set()
        await asyncio.gather(*self._tasks)

    async def _run(self, job: int, work: Work) -> None:
        loop, told = asyncio.get_running_loop(), 0.0

        def progress(fraction: float) -> None:
            nonlocal told
            if fraction - told >= STEP:
                told = fraction
                loop.call_soon_threadsafe(self._listener.job_progress, job, min(1.0, fraction))

        try:
            outcome = await asyncio.to_thread(work, progress, self._cancels[job].is_set)
            ok = True
        except Cancelled:
            ok, outcome = False, "cancelled"
        except RwcError as error:
            ok, outcome = False, f"{error.code}: {error}"
        except Exception:
            log.exception("job %d failed", job)
            ok, outcome = False, "Failed: an error inside rwc-daemon; 'rwcctl logs' has the details"
        del self._cancels[job]
        self._listener.job_done(job, ok, outcome)
