"""Slow work: progress, an end whatever happens, cancel, a bound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from rwc_daemon.control.jobs import AT_ONCE, Jobs, Progress
from rwc_daemon.errors import BadModel, Busy, Cancelled, NoSuchJob


class Heard:
    """Who listens to jobs in these tests."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.ends: asyncio.Queue[tuple[int, bool, str]] = asyncio.Queue()

    def job_progress(self, job: int, fraction: float) -> None:
        self.fractions.append(fraction)

    def job_done(self, job: int, ok: bool, result: str) -> None:
        self.ends.put_nowait((job, ok, result))


def test_progress_then_the_result() -> None:
    def work(progress: Progress, cancelled: Callable[[], bool]) -> str:
        for step in range(1001):
            progress(step / 1000)
        return "ann"

    async def check() -> None:
        heard = Heard()
        job = Jobs(heard).start(work)
        assert await heard.ends.get() == (job, True, "ann")
        assert heard.fractions == sorted(heard.fractions)
        assert 50 < len(heard.fractions) <= 100

    asyncio.run(check())


@pytest.mark.parametrize(
    ("failure", "words"),
    [(BadModel("not a voice"), "BadModel: not a voice"), (ZeroDivisionError("1/0"), "Failed: an error inside")],
)
def test_a_failure_is_an_end(failure: Exception, words: str) -> None:
    def work(progress: Progress, cancelled: Callable[[], bool]) -> str:
        raise failure

    async def check() -> None:
        heard = Heard()
        Jobs(heard).start(work)
        _, ok, result = await heard.ends.get()
        assert not ok
        assert result.startswith(words)

    asyncio.run(check())


def test_cancel_and_the_bound() -> None:
    begun = threading.Semaphore(0)

    def work(progress: Progress, cancelled: Callable[[], bool]) -> str:
        begun.release()
        while not cancelled():
            threading.Event().wait(0.005)
        raise Cancelled("stopped")

    async def check() -> None:
        heard = Heard()
        jobs = Jobs(heard)
        numbers = [jobs.start(work) for _ in range(AT_ONCE)]
        with pytest.raises(Busy, match="wait for one to end"):
            jobs.start(work)
        jobs.cancel(numbers[0])
        assert await heard.ends.get() == (numbers[0], False, "cancelled")
        with pytest.raises(NoSuchJob, match="no job 1 runs"):
            jobs.cancel(numbers[0])
        await jobs.stop()
        assert heard.ends.qsize() == AT_ONCE - 1

    asyncio.run(check())
