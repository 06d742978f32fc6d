"""What the engine knows of its own speed: compute times of the last second, as one Beat."""

from __future__ import annotations

import resource
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from rwc_daemon.messages import Beat

WINDOW_S = 1.0


@dataclass(frozen=True)
class Turn:
    """One block converted."""

    at_s: float
    # monotonic
    compute_s: float
    cpu_s: float
    # the thread's own
    audio_s: float


class Meter:
    """Filled by the inference thread, read by it too."""

    def __init__(self) -> None:
        self._turns: deque[Turn] = deque()
        self.skipped = 0
        # samples, ever

    def count(self, compute_s: float, cpu_s: float, audio_s: float) -> None:
        self._turns.append(Turn(time.monotonic(), compute_s, cpu_s, audio_s))

    def skip(self, samples: int) -> None:
        """Samples dropped because the engine was behind."""
        self.skipped += samples

    @property
    def fullness(self) -> float:
        """The slowest twentieth of the blocks: compute time over length."""
        return float(np.percentile([turn.compute_s / turn.audio_s for turn in self._turns] or [0.0], 95))

    @property
    def cost(self) -> float:
        """Processor time over audio time: what other programs do does not show in it."""
        audio_s = sum(turn.audio_s for turn in self._turns)
        return sum(turn.cpu_s for turn in self._turns) / audio_s if audio_s else 0.0

    def beat(self, pitch_in_hz: float = 0.0, pitch_out_hz: float = 0.0) -> Beat:
        now = time.monotonic()
        while self._turns and self._turns[0].at_s < now - WINDOW_S:
            self._turns.popleft()
        compute_ms = 1000 * np.array([turn.compute_s for turn in self._turns] or [0.0])
        audio_s = sum(turn.audio_s for turn in self._turns)
        return Beat(
            blocks=len(self._turns),
            load=float(compute_ms.sum()) / 1000 / audio_s if audio_s else 0.0,
            compute_p50_ms=float(np.percentile(compute_ms, 50)),
            compute_p95_ms=float(np.percentile(compute_ms, 95)),
            compute_max_ms=float(compute_ms.max()),
            skipped=self.skipped,
            resident_mb=resident_mb(),
            pitch_in_hz=pitch_in_hz,
            pitch_out_hz=pitch_out_hz,
        )


def resident_mb() -> float:
    """Memory of this process that is in RAM."""
    with open("/proc/self/statm") as figures:
        pages = int(figures.read().split()[1])
    return pages * resource.getpagesize() / 2**20
