"""The newest stretch of a signal, always the same length."""

from __future__ import annotations

import numpy as np


class Recent:
    """Its last `size` samples, zeros first. A sample is moved about once, however short the pieces are that come."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = np.zeros(2 * size, np.float32)
        self._end = size

    def __len__(self) -> int:
        return self._size

    def write(self, x: np.ndarray) -> None:
        """Appends f32[any]."""
        x = x[-self._size :]
        if self._end + len(x) > len(self._held):
            kept = self._size - len(x)
            self._held[:kept] = self._held[self._end - kept : self._end]
            self._end = kept
        self._held[self._end : self._end + len(x)] = x
        self._end += len(x)

    def newest(self, n: int) -> np.ndarray:
        """f32[n]: a copy of the last n samples, `size` at most."""
        assert 0 <= n <= self._size, (n, self._size)
        return self._held[self._end - n : self._end].copy()
