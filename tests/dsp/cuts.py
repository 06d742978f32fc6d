"""One input fed whole and in pieces, and what comes out of either."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def pieces(x: np.ndarray, seed: int) -> list[np.ndarray]:
    """`x` cut anywhere: empty pieces, single samples, long ones."""
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.integers(0, len(x) + 1, max(4, len(x) // 150)))
    near = cuts[: len(cuts) // 4] + 1
    return np.split(x, np.unique(np.concatenate((cuts, near, cuts[:2]))))


def fed(feed: Callable[[np.ndarray], np.ndarray], parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([feed(part) for part in parts])


def assert_cut_blind(make: Callable[[], Callable[[np.ndarray], np.ndarray]], x: np.ndarray) -> np.ndarray:
    """The output of a fresh block is the same to the bit for three cuts of `x`; gives it back."""
    whole = fed(make(), [x])
    for seed in range(3):
        assert np.array_equal(fed(make(), pieces(x, seed)), whole)
    return whole
