"""What the engine knows of its own speed: compute times of the last second, as one Heartbeat."""

from __future__ import annotations

import resource
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from rwc_daemon.messages import Heartbeat

WINDOW_S = 1.0
JUDGED_S = 2.0
SLOW_SHARE = 75  # percent: one block in four may take longer than what counts as typical


@dataclass(frozen=True)
class BlockTime:
    """One block converted."""

    at_s: float
    """Monotonic."""
    compute_s: float
    audio_s: float
    spoken: bool
    """False: there was nothing to convert, so the times say nothing of the voice."""


class LoadMeter:
    """Filled by the inference thread, read by it too."""

    def __init__(self) -> None:
        self._turns: deque[BlockTime] = deque()
        self._judged_from_s = 0.0
        self.skipped = 0
        # samples, ever
        self.lost_s = 0.0
        # the same as time

    def count(self, compute_s: float, audio_s: float, spoken: bool = True) -> None:
        self._turns.append(BlockTime(time.monotonic(), compute_s, audio_s, spoken))

    def skip(self, samples: int, rate: int) -> None:
        """Samples dropped because the engine was behind."""
        self.skipped += samples
        self.lost_s += samples / rate

    def start_over(self) -> None:
        """Another step plays: what was seen until now says nothing of it."""
        self._judged_from_s = time.monotonic()

    @property
    def fullness(self) -> float | None:
        """Compute time over length of all but the slowest quarter of the last two seconds' blocks; single slow ones are
        what slack is for. None where nobody spoke."""
        since_s = max(self._judged_from_s, time.monotonic() - JUDGED_S)
        shares = [turn.compute_s / turn.audio_s for turn in self._turns if turn.spoken and turn.at_s > since_s]
        return float(np.percentile(shares, SLOW_SHARE)) if shares else None

    @property
    def load(self) -> float:
        """Compute time over length of all blocks of the last two seconds: from 1 on nothing is caught up with."""
        since_s = max(self._judged_from_s, time.monotonic() - JUDGED_S)
        turns = [turn for turn in self._turns if turn.at_s > since_s]
        audio_s = sum(turn.audio_s for turn in turns)
        return sum(turn.compute_s for turn in turns) / audio_s if audio_s else 0.0

    def heartbeat(self, pitch_in_hz: float = 0.0, pitch_out_hz: float = 0.0) -> Heartbeat:
        now = time.monotonic()
        while self._turns and self._turns[0].at_s < now - JUDGED_S:
            self._turns.popleft()
        turns = [turn for turn in self._turns if turn.at_s >= now - WINDOW_S]
        compute_ms = 1000 * np.array([turn.compute_s for turn in turns] or [0.0])
        audio_s = sum(turn.audio_s for turn in turns)
        return Heartbeat(
            blocks=len(turns),
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
