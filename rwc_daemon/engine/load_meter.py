"""Measures the engine's load: compute time / block duration, and what was lost. It also makes the Heartbeat."""

from __future__ import annotations

import resource
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from rwc_daemon.messages import Heartbeat
from rwc_daemon.thresholds import THRESHOLDS, Thresholds


@dataclass(frozen=True)
class BlockTime:
    """What one converted block took."""

    at_s: float
    """When it was done, monotonic."""
    compute_s: float
    audio_s: float
    """The block's duration."""
    spoken: bool
    """False: there was nothing to convert, so the times say nothing about the voice."""

    @property
    def load(self) -> float:
        return self.compute_s / self.audio_s


class LoadMeter:
    """Block times of the last seconds. The inference thread fills it and reads it."""

    def __init__(self, thresholds: Thresholds = THRESHOLDS) -> None:
        self._thresholds = thresholds
        self._blocks: deque[BlockTime] = deque()
        self._from_s = 0.0
        self.skipped = 0
        """Samples dropped, ever."""
        self.lost_s = 0.0
        """The same as time."""

    def count(self, compute_s: float, audio_s: float, spoken: bool = True) -> None:
        """Notes one block."""
        self._blocks.append(BlockTime(time.monotonic(), compute_s, audio_s, spoken))

    def skip(self, samples: int, rate: int) -> None:
        """Notes samples that were dropped because the engine was behind."""
        self.skipped += samples
        self.lost_s += samples / rate

    def start_over(self) -> None:
        """Another level plays: what was seen until now says nothing about it."""
        self._from_s = time.monotonic()

    @property
    def load_p75(self) -> float | None:
        """75th percentile of compute time / block duration over the last 2 s; None where nobody spoke."""
        loads = [block.load for block in self._judged() if block.spoken]
        return float(np.percentile(loads, self._thresholds.load_percentile)) if loads else None

    @property
    def load(self) -> float:
        """Compute time / duration of all blocks of the last 2 s; 0 where there are none."""
        return self._load_of(self._judged())

    @property
    def load_now(self) -> float:
        """The same over the last second."""
        since_s = time.monotonic() - self._thresholds.heartbeat_window_s
        return self._load_of([block for block in self._judged() if block.at_s > since_s])

    def _load_of(self, blocks: list[BlockTime]) -> float:
        audio_s = sum(block.audio_s for block in blocks)
        return sum(block.compute_s for block in blocks) / audio_s if audio_s else 0.0

    def _judged(self) -> list[BlockTime]:
        since_s = max(self._from_s, time.monotonic() - self._thresholds.load_window_s)
        return [block for block in self._blocks if block.at_s > since_s]

    def heartbeat(self, pitch_in_hz: float = 0.0, pitch_out_hz: float = 0.0, overloaded: bool = False) -> Heartbeat:
        """Returns the figures of the last second."""
        now = time.monotonic()
        while self._blocks and self._blocks[0].at_s < now - self._thresholds.load_window_s:
            self._blocks.popleft()
        blocks = [block for block in self._blocks if block.at_s >= now - self._thresholds.heartbeat_window_s]
        compute_ms = 1000 * np.array([block.compute_s for block in blocks] or [0.0])
        return Heartbeat(
            blocks=len(blocks),
            load=self._load_of(blocks),
            compute_p50_ms=float(np.percentile(compute_ms, 50)),
            compute_p95_ms=float(np.percentile(compute_ms, 95)),
            compute_max_ms=float(compute_ms.max()),
            skipped=self.skipped,
            resident_mb=resident_mb(),
            pitch_in_hz=pitch_in_hz,
            pitch_out_hz=pitch_out_hz,
            overloaded=overloaded,
        )


def resident_mb() -> float:
    """Memory of this process that is in RAM, MiB."""
    with open("/proc/self/statm") as figures:
        pages = int(figures.read().split()[1])
    return pages * resource.getpagesize() / 2**20
