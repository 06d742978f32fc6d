"""A number that moves to its target in a straight line."""

from __future__ import annotations

import numpy as np


class Glide:
    """Steps of a control made smooth: a new target is reached `length` samples later, the first one at once.

    Every value is computed from the start of its own line, never from the value before it, so that the cut of the
    input into feeds cannot change a bit.
    """

    def __init__(self, length: int) -> None:
        assert length >= 1, length
        self._length = length
        self._from = 0.0
        self._to = 0.0
        self._done = length
        self._fresh = True

    def aim(self, target: float) -> None:
        """Starts a new line at the present value."""
        if self._fresh:
            self._from = self._to = target
            self._fresh = False
        elif target != self._to:
            self._from, self._to, self._done = self.at(0), target, 0

    def at(self, ahead: int) -> float:
        """Returns the value `ahead` samples from now."""
        done = self._done + ahead
        if done >= self._length:
            return self._to
        return self._from + (self._to - self._from) * (done / self._length)

    def advance(self, n: int) -> None:
        """Moves on by `n` samples."""
        self._done = min(self._done + n, self._length)

    @property
    def still(self) -> bool:
        """Whether the target is reached."""
        return self._done >= self._length

    def take(self, n: int) -> np.ndarray:
        """The next `n` values, f64[n]; they have then passed."""
        done = np.minimum(np.arange(self._done, self._done + n), self._length)
        values = np.where(done >= self._length, self._to, self._from + (self._to - self._from) * (done / self._length))
        self.advance(n)
        return values
