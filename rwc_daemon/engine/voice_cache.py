"""The last few voices stay in memory, within a budget: changing back to one costs next to nothing."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from rwc_daemon.engine.load_meter import resident_mb
from rwc_daemon.voices.base import Voice, VoiceInfo
from rwc_daemon.voices.quality_ladder import QualityStep

WARM_STEPS = 3  # nets keep what they prepared for so many of the newest (voices/layers.py)


@dataclass
class CachedVoice:
    info: VoiceInfo
    """As the repository knew it when it was loaded: another one under the same id is another voice."""
    voice: Voice
    size_mb: float
    warmed_ms: dict[Any, tuple[float, int]] = field(default_factory=dict)
    """What it was warmed for → a typical block, and threads: it need not be warmed for that again."""
    last_step: tuple[tuple[QualityStep, ...], int] = ((), 0)
    """At which step of which ladder it ran last."""

    def warmed(self, aim: Any, block_ms: float, threads: int) -> None:
        """For this too; what was warmed long ago is no longer."""
        self.warmed_ms.pop(aim, None)
        self.warmed_ms[aim] = block_ms, threads
        while len(self.warmed_ms) > WARM_STEPS:
            del self.warmed_ms[next(iter(self.warmed_ms))]


class VoiceCache:
    """Oldest out first; the newest always stays. Any thread may ask."""

    def __init__(self, budget_mb: float) -> None:
        self._budget_mb = budget_mb
        self._lock = threading.Lock()
        self._voices: OrderedDict[str, CachedVoice] = OrderedDict()

    def find(self, info: VoiceInfo) -> CachedVoice | None:
        """Raises it to the newest."""
        with self._lock:
            cached = self._voices.get(info.id)
            if cached is None or cached.info != info:
                return None
            self._voices.move_to_end(info.id)
            return cached

    def add(self, cached: CachedVoice) -> None:
        with self._lock:
            self._voices[cached.info.id] = cached
            self._voices.move_to_end(cached.info.id)
            while len(self._voices) > 1 and sum(cached.size_mb for cached in self._voices.values()) > self._budget_mb:
                self._voices.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._voices.clear()


def used_mb() -> float:
    """What this process holds now, on the GPU too."""
    torch = sys.modules.get("torch")
    on_gpu = torch.cuda.memory_allocated() if torch is not None and torch.cuda.is_initialized() else 0
    return resident_mb() + on_gpu / 2**20
