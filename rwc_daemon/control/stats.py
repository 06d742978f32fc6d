"""Numbers for people: latency by its parts, counters, levels, loads, gathered from callback, engine and plan."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass

from rwc_daemon.audio.client import AudioClient
from rwc_daemon.link.ring import Counters, SharedRings
from rwc_daemon.messages import Heartbeat, Planned
from rwc_daemon.plan import Latency, Plan

FLOOR_DB = -120.0
NO_HEARTBEAT = Heartbeat(
    blocks=0, load=0.0, compute_p50_ms=0.0, compute_p95_ms=0.0, compute_max_ms=0.0, skipped=0, resident_mb=0.0
)


@dataclass(frozen=True)
class Levels:
    """Peaks since the look before, dB full scale."""

    in_db: float = FLOOR_DB
    out_db: float = FLOOR_DB
    beside_db: float = FLOOR_DB
    """Of the microphone's channel that is not used."""


class Stats:
    """The newest of everything; `read` asks the callback, the rest is told."""

    def __init__(self, link: SharedRings, client: AudioClient) -> None:
        self._link, self._client = link, client
        self._born_s = time.monotonic()
        self._skipped_before = 0  # by engines that are gone
        self.counters: Counters = link.counters()
        self.levels = self._loudest = Levels()
        self.heartbeat = NO_HEARTBEAT
        self.latency = Latency()
        self._block = 0

    def read(self) -> Counters:
        """Looks at the callback's counters."""
        self.counters = self._link.counters()
        return self.counters

    def read_levels(self) -> Levels:
        heard, played = self._link.peaks()
        self.levels = now = Levels(_db(heard), _db(played), _db(self._link.peak_beside()))
        top = self._loudest
        self._loudest = Levels(
            max(top.in_db, now.in_db), max(top.out_db, now.out_db), max(top.beside_db, now.beside_db)
        )
        return now

    def take_loudest(self) -> Levels:
        """Peaks since the last call, however often the levels were read meanwhile."""
        loudest, self._loudest = self._loudest, Levels()
        return loudest

    def note_heartbeat(self, heartbeat: Heartbeat) -> None:
        self.heartbeat = heartbeat

    def engine_gone(self) -> None:
        self._skipped_before += self.heartbeat.skipped
        self.heartbeat = NO_HEARTBEAT

    def plans(self, planned: Planned) -> None:
        plan = Plan(planned.rate, planned.quantum, planned.block, planned.slack)
        before_ms, after_ms = self.latency.input_ms, self.latency.output_ms
        if self._client.is_open:
            before_ms, after_ms = self._client.input_latency_ms(), self._client.output_latency_ms()
        self.latency = Latency.of(plan, planned.delay, before_ms, after_ms)
        self._block = planned.block

    def statistics(self) -> dict[str, float | int | str]:
        """Every figure, its unit in its name."""
        now, heartbeat = self.counters, self.heartbeat
        return {
            **{name: getattr(now, name) for name in _COUNTED},
            "skipped_samples": self._skipped_before + heartbeat.skipped,
            "level_in_db": self.levels.in_db,
            "level_out_db": self.levels.out_db,
            "rate_hz": now.rate,
            "quantum_samples": now.quantum,
            "block_samples": self._block,
            **self._latency(),
            "compute_p50_ms": heartbeat.compute_p50_ms,
            "compute_p95_ms": heartbeat.compute_p95_ms,
            "compute_max_ms": heartbeat.compute_max_ms,
            "load_ratio": heartbeat.load,
            "engine_resident_mb": heartbeat.resident_mb,
            "pitch_in_hz": heartbeat.pitch_in_hz,
            "pitch_out_hz": heartbeat.pitch_out_hz,
            "uptime_s": time.monotonic() - self._born_s,
            "scheduling": self._client.policy(),
            "server": self._client.server,
            "client_name": self._client.name,
            "daemon_pid": os.getpid(),
        }

    def _latency(self) -> dict[str, float]:
        parts = ("input_ms", "block_ms", "voice_ms", "slack_ms", "output_ms", "total_ms")
        return {f"latency_{name}": getattr(self.latency, name) for name in parts}


_COUNTED = (
    "cycles",
    "missed_cycles",
    "late_cycles",
    "xruns",
    "underruns",
    "overruns",
    "retargets",
    "silence_samples",
    "callback_p50_us",
    "callback_p999_us",
    "callback_max_us",
)


def _db(magnitude: float) -> float:
    return max(FLOOR_DB, 20 * math.log10(magnitude)) if magnitude > 0 else FLOOR_DB
