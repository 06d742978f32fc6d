"""Which engine process a stream comes into, and so how many of them there are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from rwc_daemon.control.engine_process import EngineProcess
from rwc_daemon.settings import Settings

FULL = 4  # light streams that one engine renders on one core: docs/measurements/streams.md


class EnginePool:
    """Streams share engines, because they share what is in memory there. An engine is one core's work for light voices;
    so more of them are started, up to `most`, where one is full."""

    def __init__(self, data_dir: Path, options: Sequence[str], most: int = 1) -> None:
        """`options`: of an engine's command line; `most`: engines, but for those of streams that must be alone."""
        self._data_dir, self._options, self._most = data_dir, options, most
        self._engines: list[EngineProcess] = []
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """A new stream's, never used before."""
        return next(self._numbers)

    def place(self) -> EngineProcess:
        """For one more stream."""
        self._engines = [engine for engine in self._engines if engine.streams]
        shared = [engine for engine in self._engines if not engine.closed]
        emptiest = min(shared, key=lambda engine: engine.streams, default=None)
        if emptiest is None or (emptiest.streams >= FULL and len(shared) < self._most):
            return self._started()
        return emptiest

    def apart(self) -> EngineProcess:
        """For a stream that must be alone."""
        engine = self._started()
        engine.closed = True
        return engine

    def _started(self) -> EngineProcess:
        self._engines.append(EngineProcess(self._data_dir, self._options))
        return self._engines[-1]


def engine_options(settings: Settings) -> list[str]:
    """What the engine's command line says of the settings."""
    engine = settings.engine
    without_gpu = settings.voice.first if engine.without_gpu == "voice" else ""
    options = ["--device", engine.device, "--memory-mb", str(engine.memory_mb)]
    return [*options, "--without-gpu", without_gpu] if without_gpu else options
