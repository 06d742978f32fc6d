"""A plain delay."""

from __future__ import annotations

import numpy as np


class Delay:
    """Output is the input `delay` samples ago, zeros first; any feed length."""

    def __init__(self, delay: int) -> None:
        assert delay >= 0, delay
        self.delay = delay
        self._held = np.zeros(delay, np.float32)

    def feed(self, x: np.ndarray) -> np.ndarray:
        """f32[n] → f32[n]."""
        joined = np.concatenate((self._held, x))
        self._held = joined[len(x) :]
        return joined[: len(x)]
