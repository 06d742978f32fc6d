"""What nets do beside a playing voice is done by the inference thread, between two blocks of that voice.

Two threads that run nets on the same cores stand in each other's way wherever a team of theirs waits for its last
member: while the loader warmed another step, the blocks of the playing voice took two to four times as long. So the
loader does not run its nets itself then: it hands over each operation and waits for the result. One lasts a few
milliseconds at most, and the inference thread has time for some before its next block is whole.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rwc_daemon.engine.heavy import use_threads

NEXT_S = 0.002  # so soon the next one follows the last
TOLL_S = 24e-6  # processor time that one takes beyond its work and its sending: every operation is looked at on its way
STARVED_S = 0.5  # without time for one: the inference thread is never idle, and what comes may be what helps it
# they make no new samples, and no team works on them
LOOKS = ("__get__", "__getitem__", "__len__", "chunk", "dim", "numel", "permute", "size", "split")
AT_HOME = frozenset((*LOOKS, "empty", "new_empty", "squeeze", "transpose", "unsqueeze", "view"))


@dataclass(frozen=True)
class Errand:
    """One operation."""

    work: Callable[[], Any]
    threads: int
    # to run it on
    inference_mode: bool
    done: Future[Any]


class Errands:
    """`wake`: wakes the inference thread; `wanted`: whether it plays what must not be disturbed."""

    def __init__(self, wake: Callable[[], None], wanted: Callable[[], bool]) -> None:
        self._wake, self._wanted = wake, wanted
        self._queue: queue.SimpleQueue[Errand] = queue.SimpleQueue()
        self._starved = False  # until the inference thread has time again
        self.spent_s = 0.0
        # processor time of all errands until now, less what they took because they were sent

    # ---- who sends ----

    @contextmanager
    def sent(self) -> Iterator[None]:
        """All that the calling thread does with torch meanwhile."""
        from torch.overrides import TorchFunctionMode  # torch is there by now, and not before

        errands = self

        class Sending(TorchFunctionMode):
            def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                name = getattr(func, "__name__", "")
                if name in AT_HOME or not errands.open:
                    return func(*args, **(kwargs or {}))
                return errands._ask(lambda: func(*args, **(kwargs or {})))

        with Sending():
            yield

    @property
    def open(self) -> bool:
        """Whether they would be done."""
        return self._wanted() and not self._starved

    def _ask(self, work: Callable[[], Any]) -> Any:
        import torch

        begin = time.thread_time()
        errand = Errand(work, torch.get_num_threads(), torch.is_inference_mode_enabled(), Future())
        self._queue.put(errand)
        self._wake()
        try:
            return errand.done.result(STARVED_S)
        except TimeoutError:
            if not errand.done.cancel():
                return errand.done.result()
            self._starved = True
        finally:
            self.spent_s -= time.thread_time() - begin + TOLL_S
        return work()

    # ---- who does them: the inference thread ----

    def serve(self, idle: Callable[[], bool]) -> int:
        """Does what there is for as long as `idle`; returns the threads that the last one ran on, 0 for none."""
        threads = 0
        while idle():
            self._starved = False
            try:
                errand = self._queue.get(timeout=NEXT_S) if threads else self._queue.get_nowait()
            except queue.Empty:
                break
            if not errand.done.set_running_or_notify_cancel():
                continue
            if errand.threads != threads:
                use_threads(errand.threads)
                threads = errand.threads
            self._do(errand)
        return threads

    def _do(self, errand: Errand) -> None:
        try:
            result = self._timed(errand)
        except Exception as error:  # noqa: BLE001 - it belongs to who asked
            errand.done.set_exception(error)
        else:
            errand.done.set_result(result)

    def _timed(self, errand: Errand) -> Any:
        import torch

        with torch.inference_mode(errand.inference_mode):
            begin = time.thread_time()
            try:
                return errand.work()
            finally:
                self.spent_s += time.thread_time() - begin
