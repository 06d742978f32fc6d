"""A voice is warmed on a throwaway stream of the very plan that it will run by, so that its first real block is not its
first; that run also tells how long a block takes, and so how much slack it needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.conversion.stream import Stream
from rwc_daemon.engine.native_loading import in_thread_pool, use_huge_pages, use_threads
from rwc_daemon.engine.op_queue import OpQueue
from rwc_daemon.plan import Plan
from rwc_daemon.voices.base import Voice

LEAST_MEASURED, MOST_MEASURED = 2, 6  # blocks
ALIKE = 1.1  # the two quickest: then they were not disturbed


def warm(
    voice: Voice,
    plan: Plan,
    controls: Controls,
    threads: int = 1,
    stop: Callable[[], bool] = lambda: False,
    op_queue: OpQueue | None = None,
) -> float | None:
    """Milliseconds of CPU time that one thread needs for a block; None where `stop` says so between two blocks.

    The nets keep what they prepare by the number of threads, and for the first block apart from the others; so two are
    converted on `threads` before.
    """
    stream = Stream(voice, plan, controls)
    noise = np.random.default_rng(0).normal(0, 0.1, plan.block).astype(np.float32)
    if not stream.costly or getattr(voice, "device", "cpu") != "cpu":
        op_queue = None  # a GPU has no thread pool to disturb, and a graph's capture must see all kernels on one thread

    def convert() -> float:
        """Milliseconds of CPU time."""
        with op_queue.offload() if op_queue else nullcontext():
            begin, sent = time.thread_time(), op_queue.spent_s if op_queue else 0.0
            stream.convert(noise)
            sent = op_queue.spent_s - sent if op_queue else 0.0
            return 1000 * (time.thread_time() - begin + sent)

    if stream.costly:
        use_threads(1)
    times_ms: list[float] = []
    for count in [threads, threads, 1] if threads > 1 and stream.costly else [1, 1]:
        if stop():
            return None
        if count > 1:
            in_thread_pool(count, convert)
        else:
            convert()
    if stream.costly:
        use_huge_pages()  # all that a block needs is there now
    while not _measured(times_ms):
        if stop():
            return None
        times_ms.append(convert())
    return min(times_ms)  # what other programs did to it is no property of the voice


def _measured(times_ms: list[float]) -> bool:
    if len(times_ms) < LEAST_MEASURED:
        return False
    least, next_ms = sorted(times_ms)[:2]
    return next_ms <= ALIKE * least or len(times_ms) >= MOST_MEASURED
