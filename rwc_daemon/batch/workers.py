"""Work spread over processes: each prepares once, then takes one job after the other.

A job that fails, or takes its process down with it, is one failed job; the others go on. Whatever ends the run (Ctrl-C
too), no process is left behind.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from rwc_daemon.errors import EngineFailed, RwcError

Work = Callable[[Any, Callable[[float], None]], Any]  # (job, progress) → result
ENDING_S = 3.0  # for a process to clean up after itself before it is killed


@dataclass(frozen=True)
class JobProgressed:
    job: int
    fraction: float
    """0 … 1."""


@dataclass(frozen=True)
class JobDone:
    job: int
    result: Any


@dataclass(frozen=True)
class JobFailed:
    job: int
    error: RwcError


@dataclass(frozen=True)
class _Ready:
    """The process has prepared and waits for a job."""


@dataclass(frozen=True)
class _Died:
    """The process is gone, and with it this job."""

    job: int
    error: RwcError


Event = JobProgressed | JobDone | JobFailed


class _Worker:
    """One process and what it is doing."""

    def __init__(self, prepare: Callable[[], Work], threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # forking a process that has threads is not safe
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, prepare, threads), daemon=True)
        # Ctrl-C reaches the whole process group; it is this process that answers it, and then ends its workers
        resource_tracker.ensure_running()  # which would otherwise be started now, and unblock the signal
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self.process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.job: int | None = None

    def give(self, number: int, job: Any) -> None:
        self.job = number
        with suppress(BrokenPipeError):  # it has just died: the next look at the pipe says so
            self.pipe.send((number, job))

    def close(self) -> None:
        self.pipe.close()
        self.process.join()


def run(
    jobs: Sequence[Any], prepare: Callable[[], Work], workers: int, threads: int = 0
) -> Generator[Event, None, None]:
    """Every event of all jobs, as it happens. `prepare` runs once in each process, so it must be importable by name.

    `threads`: for numeric libraries in each process; 0: their own choice. What `prepare` raises ends the run.
    """
    waiting = list(range(len(jobs)))[::-1]
    processes = [_Worker(prepare, threads) for _ in range(min(workers, len(jobs)))]
    try:
        while processes:
            for pipe in wait([worker.pipe for worker in processes]):
                worker = next(w for w in processes if w.pipe is pipe)
                event = _heard(worker)
                if not isinstance(event, _Ready | _Died):
                    yield event
                if isinstance(event, JobProgressed):
                    continue
                if isinstance(event, _Died):
                    processes.remove(worker)
                    yield JobFailed(event.job, event.error)
                    if waiting:
                        processes.append(_Worker(prepare, threads))
                elif waiting:
                    number = waiting.pop()
                    worker.give(number, jobs[number])
                else:
                    processes.remove(worker)
                    worker.close()
    finally:
        _end(processes)


def _heard(worker: _Worker) -> Event | _Ready | _Died:
    try:
        event = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.close()
        error = EngineFailed(f"its process died ({_cause(worker.process.exitcode)}): fewer --jobs need less memory")
        if worker.job is None:
            raise error from None
        return _Died(worker.job, error)
    if isinstance(event, RwcError):  # it could not even prepare
        raise event
    return event


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"signal {signal.Signals(-exit_code).name}"
    return f"exit status {exit_code}"


def _end(processes: list[_Worker]) -> None:
    for worker in processes:
        worker.process.terminate()
    for worker in processes:
        worker.process.join(ENDING_S)
        worker.process.kill()
        worker.close()


def _serve(pipe: Connection, prepare: Callable[[], Work], threads: int) -> None:
    """The process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that half-written files are cleaned away
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is imported, which is later
    try:
        work = prepare()
        pipe.send(_Ready())
        while True:
            number, job = pipe.recv()
            pipe.send(_answer(pipe, work, number, job))
    except RwcError as failed:
        pipe.send(failed)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has no more work, or is gone
    except Exception as unforeseen:  # noqa: BLE001  the top of this process
        pipe.send(_wrapped(unforeseen))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing is half-written; raised at exit it would print a trace


def _answer(pipe: Connection, work: Work, number: int, job: Any) -> Event:
    try:
        return JobDone(number, work(job, lambda fraction: pipe.send(JobProgressed(number, fraction))))
    except RwcError as failed:
        return JobFailed(number, failed)
    except BrokenPipeError:
        raise
    except Exception as unforeseen:  # noqa: BLE001  one file must not stop the rest, whatever is wrong with it
        return JobFailed(number, _wrapped(unforeseen))


def _wrapped(unforeseen: Exception) -> EngineFailed:
    return EngineFailed(f"unforeseen {type(unforeseen).__name__}: {unforeseen}")
