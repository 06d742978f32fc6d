"""Which stream of an engine renders next: the one whose block is wanted first.

Blocks of light voices are mostly Python, and more threads than there is room for only wait for each other in the midst
of their blocks. So a thread takes a turn for a whole block. It is an order, no lock: whoever waits goes all the same at
the last moment at which its block can still be in time, and who holds a turn for longer than its own block may wait has
lost it. So a stream that hangs, or takes too long, costs no other stream a sample.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(order=True)
class Waiting:
    """One thread that waits for its turn."""

    deadline_s: float
    number: int
    go: threading.Event = field(compare=False, default_factory=threading.Event)
    gone: bool = field(compare=False, default=False)
    """It waits no longer."""


class Turns:
    """For all threads that render."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`most`: turns at once; `clock`: s."""
        self._most, self._clock = most, clock
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._held: dict[int, float] = {}
        # turn → when its block is wanted
        self._waiting: list[Waiting] = []

    @contextmanager
    def turn(self, deadline_s: float, latest_s: float) -> Iterator[None]:
        """Waits for a turn. `deadline_s`: when the block is wanted; `latest_s`: waits no longer than until then."""
        number = self._take(deadline_s, latest_s)
        try:
            yield
        finally:
            self._give_back(number)

    def _take(self, deadline_s: float, latest_s: float) -> int:
        with self._lock:
            waiting = Waiting(deadline_s, next(self._numbers))
            if self._room():
                self._held[waiting.number] = deadline_s
                return waiting.number
            heapq.heappush(self._waiting, waiting)
        waiting.go.wait(max(0.0, latest_s - self._clock()))
        with self._lock:
            waiting.gone = True
            self._held[waiting.number] = deadline_s
        return waiting.number

    def _give_back(self, number: int) -> None:
        with self._lock:
            self._held.pop(number, None)
            while self._waiting and self._room():
                first = heapq.heappop(self._waiting)
                if not first.gone:
                    self._held[first.number] = first.deadline_s
                    first.go.set()

    def _room(self) -> bool:
        """Nobody counts who holds a turn beyond the time at which its block was wanted."""
        now_s = self._clock()
        return sum(deadline_s > now_s for deadline_s in self._held.values()) < self._most
