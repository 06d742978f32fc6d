"""harvest and dio, the pitch trackers of the WORLD vocoder, through pyworld (the extra `world`).

Settings are those of RVC (docs/rvc.md 6.3): 50 … 1100 Hz; harvest with a median of three frames, dio refined by
StoneMask.

pyworld's `__init__` imports pkg_resources only to learn its own version, and setuptools 82 dropped that module; so the
compiled part is loaded by itself, which works with any setuptools.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from types import ModuleType

import numpy as np

from rwc_daemon import extras
from rwc_daemon.plan import RATE_16K
from rwc_daemon.voices.f0 import shape
from rwc_daemon.voices.f0.base import HIGHEST_HZ, LOWEST_HZ, fitted, frame_count

BOUNDS = {"f0_floor": LOWEST_HZ, "f0_ceil": HIGHEST_HZ, "frame_period": 10.0}
SHORTEST = 800  # samples; with less the library has nothing to work on


class Harvest:
    """`refined`: StoneMask follows (the reference does so for files)."""

    name = "harvest"

    def __init__(self, refined: bool = False) -> None:
        self.world = _world()
        self.refined = refined

    def track(self, x_16k: np.ndarray) -> np.ndarray:
        """f32[N] → f32[N // 160 + 1]: Hz, 0 where unvoiced."""
        x, frames = _prepared(x_16k), frame_count(len(x_16k))
        f0_hz, times = self.world.harvest(x, RATE_16K, **BOUNDS)
        if self.refined:
            f0_hz = self.world.stonemask(x, f0_hz, times, RATE_16K)
        return fitted(shape.median(f0_hz, 3), frames)


class Dio:
    name = "dio"

    def __init__(self) -> None:
        self.world = _world()

    def track(self, x_16k: np.ndarray) -> np.ndarray:
        """f32[N] → f32[N // 160 + 1]: Hz, 0 where unvoiced."""
        x, frames = _prepared(x_16k), frame_count(len(x_16k))
        f0_hz, times = self.world.dio(x, RATE_16K, **BOUNDS)
        return fitted(self.world.stonemask(x, f0_hz, times, RATE_16K), frames)


def _prepared(x_16k: np.ndarray) -> np.ndarray:
    return np.pad(x_16k.astype(np.float64), (0, max(0, SHORTEST - len(x_16k))))


def _world() -> ModuleType:
    package = importlib.util.find_spec("pyworld")
    folders = package.submodule_search_locations if package else None
    spec = importlib.machinery.PathFinder.find_spec("pyworld.pyworld", folders) if folders else None
    if spec is None or spec.loader is None:
        raise extras.missing("pyworld", "harvest or dio")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
