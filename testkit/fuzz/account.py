"""What becomes of a fuzzer's inputs, counted."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

HANG_S = 20.0
KEPT = 20


@dataclass
class Account:
    """Every input is taken, refused with a sentence, or a culprit."""

    taken: int = 0
    refused: int = 0
    crashes: int = 0
    hangs: int = 0
    culprits: list[str] = field(default_factory=list)
    """The first of them."""

    @property
    def tried(self) -> int:
        return self.taken + self.refused + self.crashes + self.hangs

    def note(self, what: object, trouble: str, refused: bool) -> None:
        """One input; `trouble`: empty, or what it did that no input may do."""
        if trouble == "hang":
            self.hangs += 1
        elif trouble:
            self.crashes += 1
        elif refused:
            self.refused += 1
        else:
            self.taken += 1
        if trouble and len(self.culprits) < KEPT:
            self.culprits.append(f"{what!r:.600}: {trouble}")


class Hang(BaseException):
    """No handler of the tested code may swallow it."""


@contextmanager
def at_most(seconds: float = HANG_S) -> Iterator[None]:
    """Raises Hang in the main thread when the block takes longer."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def is_sentence(text: str, longest: int = 2000) -> bool:
    """Whether a user may be told this: one line, no traceback, no book."""
    return bool(text.strip()) and "\n" not in text.strip() and "Traceback" not in text and len(text) <= longest
