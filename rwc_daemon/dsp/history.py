"""The latest stretch of a signal, read by absolute sample number."""

from __future__ import annotations

import numpy as np


class History:
    """A ring written twice over, so that every stretch that is still held is one contiguous slice.

    Sample numbers count from the first sample ever written; before it lies silence. A sample's place in memory depends
    on its number alone. float64: what is computed from it meets no denormal numbers.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._ring = np.zeros(2 * size)
        self.end = 0  # the number of the next sample

    def write(self, x: np.ndarray) -> None:
        """Appends at most `size` samples."""
        n = len(x)
        assert n <= self._size, (n, self._size)
        at = self.end % self._size
        first = min(n, self._size - at)
        for half in (0, self._size):
            self._ring[half + at : half + at + first] = x[:first]
            self._ring[half : half + n - first] = x[first:]
        self.end += n

    def view(self, begin: int, stop: int) -> np.ndarray:
        """f64[stop - begin], not to be written; asserts that it is held."""
        assert self.end - self._size <= begin <= stop <= self.end, (begin, stop, self.end, self._size)
        at = begin % self._size
        return self._ring[at : at + stop - begin]

    def gather(self, numbers: np.ndarray, width: int) -> np.ndarray:
        """f64[n, width]: the `width` samples from each of `numbers` (i64[n]) on; asserts that they are held."""
        first, last = int(numbers.min()), int(numbers.max()) + width
        assert self.end - self._size <= first <= last <= self.end, (first, last, self.end, self._size)
        windows = np.lib.stride_tricks.as_strided(self._ring, (self._size + 1, width), self._ring.strides * 2)
        return windows[numbers % self._size]
