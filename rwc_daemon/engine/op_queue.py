"""While a voice plays, the loader runs no model code itself: each torch operation is queued to the inference thread.

Two threads that run nets on the same cores wait for each other's thread pools: while the loader warmed another step,
the blocks of the playing voice took two to four times as long. An operation lasts a few milliseconds at most, and the
inference thread has time for some of them before its next block is complete.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rwc_daemon.engine.native_loading import use_threads

NEXT_S = 0.002  # so soon the next one follows the last
DISPATCH_COST_S = 24e-6  # CPU time of one operation beyond its work and its queueing
STARVED_S = 0.5  # the inference thread had no time for an operation: the loader runs it itself, it may be what helps
# these compute nothing: they run where they are called
VIEW_OPS = ("__get__", "__getitem__", "__len__", "chunk", "dim", "numel", "permute", "size", "split")
LOCAL_OPS = frozenset((*VIEW_OPS, "empty", "new_empty", "squeeze", "transpose", "unsqueeze", "view"))


@dataclass(frozen=True)
class QueuedOp:
    """One operation."""

    work: Callable[[], Any]
    threads: int
    """To run it on."""
    inference_mode: bool
    done: Future[Any]


class OpQueue:
    """`wake` wakes the inference threads that serve it; `wanted` says whether a voice plays that must not be
    disturbed."""

    def __init__(self, wake: Callable[[], None], wanted: Callable[[], bool]) -> None:
        self._wake, self._wanted = wake, wanted
        self._queue: queue.SimpleQueue[QueuedOp] = queue.SimpleQueue()
        self._starved = False  # until an inference thread has time again
        self._own = threading.local()

    @property
    def spent_s(self) -> float:
        """CPU time of all operations that the calling thread has sent, less what queueing them cost."""
        return float(getattr(self._own, "spent_s", 0.0))

    def _spend(self, spent_s: float) -> None:
        self._own.spent_s = self.spent_s + spent_s

    # ---- who sends ----

    @contextmanager
    def offload(self) -> Iterator[None]:
        """Queues every torch operation of the calling thread while the context lasts."""
        from torch.overrides import TorchFunctionMode  # torch is there by now, and not before

        op_queue = self

        class Sending(TorchFunctionMode):
            def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                name = getattr(func, "__name__", "")
                if name in LOCAL_OPS or not op_queue.open:
                    return func(*args, **(kwargs or {}))
                return op_queue._ask(lambda: func(*args, **(kwargs or {})))

        with Sending():
            yield

    @property
    def open(self) -> bool:
        """Whether they would be done."""
        return self._wanted() and not self._starved

    def _ask(self, work: Callable[[], Any]) -> Any:
        import torch

        begin = time.thread_time()
        op = QueuedOp(work, torch.get_num_threads(), torch.is_inference_mode_enabled(), Future())
        self._queue.put(op)
        self._wake()
        try:
            return self._received(op, STARVED_S)
        except TimeoutError:
            if not op.done.cancel():
                return self._received(op)
            self._starved = True
        finally:
            self._spend(-(time.thread_time() - begin + DISPATCH_COST_S))
        return work()

    def _received(self, op: QueuedOp, timeout_s: float | None = None) -> Any:
        result, spent_s = op.done.result(timeout_s)
        self._spend(spent_s)
        return result

    # ---- who does them: an inference thread ----

    def run_pending(self, idle: Callable[[], bool]) -> int:
        """Does what there is for as long as `idle`; returns the threads that the last one ran on, 0 for none."""
        threads = 0
        while idle():
            self._starved = False
            try:
                op = self._queue.get(timeout=NEXT_S) if threads else self._queue.get_nowait()
            except queue.Empty:
                break
            if not op.done.set_running_or_notify_cancel():
                continue
            if op.threads != threads:
                use_threads(op.threads)
                threads = op.threads
            self._do(op)
        return threads

    def _do(self, op: QueuedOp) -> None:
        try:
            result = self._timed(op)
        except Exception as error:  # noqa: BLE001 - it belongs to who asked
            op.done.set_exception(error)
        else:
            op.done.set_result(result)

    def _timed(self, op: QueuedOp) -> tuple[Any, float]:
        """What it gives, and its CPU time."""
        import torch

        with torch.inference_mode(op.inference_mode):
            begin = time.thread_time()
            return op.work(), time.thread_time() - begin
