"""The voices of one engine: each is in memory once, whichever streams play it, and the last few stay within a budget:
changing back to one costs next to nothing."""

from __future__ import annotations

import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from rwc_daemon.engine.load_meter import resident_mb
from rwc_daemon.voices.base import Voice, VoiceInfo
from rwc_daemon.voices.quality_ladder import QualityStep

WARM_STEPS = 3  # nets keep what they prepared for so many of the newest (voices/layers.py)


@dataclass
class CachedVoice:
    info: VoiceInfo
    """As the repository knew it when it was loaded: another one under the same id is another voice."""
    voice: Any
    """A `Voice`."""
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


@dataclass(frozen=True)
class LeftVoice:
    """One that the budget has no room for: it is there for as long as a stream plays it."""

    known: CachedVoice
    """Without the voice."""
    voice: weakref.ref[Voice]


class VoiceCache:
    """Oldest out first; the newest always stays. Any thread may ask."""

    def __init__(self, budget_mb: float, in_use: Callable[[Voice], bool] = lambda voice: False) -> None:
        """`in_use`: whether a stream plays that voice."""
        self._budget_mb, self._in_use = budget_mb, in_use
        self._lock = threading.Lock()
        self._voices: OrderedDict[str, CachedVoice] = OrderedDict()
        self._left: dict[str, LeftVoice] = {}
        self._loading: dict[str, threading.Lock] = {}
        self.untidy = False
        # a voice was read since garbage was collected last

    @contextmanager
    def loading(self, voice: str) -> Iterator[None]:
        """One thread at a time reads the voice of this id; the others find it here then."""
        with self._lock:
            lock = self._loading.setdefault(voice, threading.Lock())
        with lock:
            yield

    def find(self, info: VoiceInfo) -> CachedVoice | None:
        """Raises it to the newest."""
        with self._lock:
            cached = self._voices.get(info.id) or self._come_back(info.id)
            if cached is None or cached.info != info:
                return None
            self._voices.move_to_end(info.id)
            return cached

    def _come_back(self, voice: str) -> CachedVoice | None:
        left = self._left.pop(voice, None)
        played = left.voice() if left is not None else None
        if left is None or played is None or not self._in_use(played):
            return None
        self._voices[voice] = replace(left.known, voice=played)
        self._voices.move_to_end(voice)
        self._make_room()
        return self._voices[voice]

    def add(self, cached: CachedVoice) -> None:
        with self._lock:
            self._voices[cached.info.id] = cached
            self._voices.move_to_end(cached.info.id)
            self._make_room()

    def _make_room(self) -> None:
        while len(self._voices) > 1 and sum(cached.size_mb for cached in self._voices.values()) > self._budget_mb:
            voice, cached = self._voices.popitem(last=False)
            self._left[voice] = LeftVoice(replace(cached, voice=None), weakref.ref(cached.voice))
        for voice in [voice for voice, left in self._left.items() if left.voice() is None]:
            del self._left[voice]

    def clear(self) -> None:
        with self._lock:
            self._voices.clear()
            self._left.clear()


def used_mb() -> float:
    """What this process holds now, on the GPU too."""
    torch = sys.modules.get("torch")
    on_gpu = torch.cuda.memory_allocated() if torch is not None and torch.cuda.is_initialized() else 0
    return resident_mb() + on_gpu / 2**20
