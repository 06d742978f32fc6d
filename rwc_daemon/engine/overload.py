"""Carries out what the deadline controller decides for the voice that plays, and says so."""

from __future__ import annotations

from collections.abc import Callable

from rwc_daemon.controls import Controls
from rwc_daemon.engine.load_meter import LoadMeter
from rwc_daemon.engine.load_request import LoadedVoice, LoadRequest, PrewarmedStep
from rwc_daemon.engine.overload_levels import FULL, LOST, LevelControl
from rwc_daemon.engine.thread_budget import ThreadBudget
from rwc_daemon.messages import Message, QualityReduced
from rwc_daemon.voices.base import Adjustable
from rwc_daemon.voices.quality_ladder import QualityStep

PRESSED = 0.99 * FULL  # a light voice that loses nothing keeps its blocks
# Of what came in, lost: then a light voice is starved and takes longer blocks, whatever its blocks cost. Less than that
# is jitter, which slack helps against: on two busy cores single blocks are late all the time, at a load of a tenth.
STARVED = 0.25


class OverloadController:
    """Of one inference thread. `want` asks the loader for the same voice at another step."""

    def __init__(
        self, thread_budget: ThreadBudget, want: Callable[[LoadRequest], None], send: Callable[[Message], None]
    ) -> None:
        self._thread_budget, self._request, self._send = thread_budget, want, send
        self._voice = self._name = ""
        self._steps: tuple[QualityStep, ...] = ()
        self._asked = Controls()
        self._cost = 0.0  # of the step that runs, on one thread
        self._warm: dict[int, int] = {}  # level → threads that it was warmed for
        self._light = True  # a voice without nets: single slow blocks say nothing, lost ones do
        self._deadline = LevelControl(1)
        self._skipped, self._lost_s = 0, 0.0
        self._awaited: int | None = None  # the level that the loader was asked for
        self._said = ""

    @property
    def threads(self) -> int:
        """That the voice's nets run on: as many as there is room for, but never on more than they were warmed for."""
        return min(self._thread_budget.threads, self._warm.get(self._deadline.level, 1))

    def plays(self, loaded: LoadedVoice) -> None:
        """This has taken over, or would if somebody listened."""
        self._awaited = None
        if loaded.reduced:
            self._deadline.at(loaded.level)
        else:
            self._voice, self._name, self._steps = loaded.voice.info.id, loaded.voice.info.name, loaded.steps
            self._deadline = LevelControl(len(self._steps), loaded.level)
            self._warm = {}
        self._asked, self._cost = loaded.asked, loaded.cost
        self._light = not isinstance(loaded.voice, Adjustable)
        self._note(loaded)

    def heard(self, block_ms: float) -> None:
        """It is heard, in blocks of this length: where that is less than was asked, it is said."""
        less = self._steps[self._deadline.level].less_than(self._steps[0], block_ms)
        at = "" if self._light else f" at quality {self._steps[0].quality}"
        cure = "close other programs" if self._light else "close other programs or choose a lower quality"
        text = f"this machine is too slow for '{self._name}'{at}: it runs with {less} until there is room; {cure}"
        self._say(text if less else "")

    def warmed(self, warmed: PrewarmedStep) -> None:
        """A step of this voice was tried out, beside the one that plays."""
        if warmed.loaded.steps == self._steps and warmed.loaded.voice.info.id == self._voice:
            self._note(warmed.loaded)

    def _note(self, loaded: LoadedVoice) -> None:
        self._deadline.note(loaded.level, loaded.cost)
        self._warm[loaded.level] = loaded.threads
        self._warm_ahead()

    def _warm_ahead(self) -> None:
        """What may be needed at once: this step on all threads that there is room for, and the one below."""
        if self._light:
            return  # that takes a moment only
        level = self._deadline.level
        for one in (level, level + 1):
            if one < len(self._steps) and self._warm.get(one, 0) < self._thread_budget.threads:
                self._request(LoadRequest(self._voice, self._asked, one, prewarm_only=True))
                return

    def refused(self, voice: str, level: int) -> None:
        """The loader cannot bring that step (a tracker that is not on this machine)."""
        if voice == self._voice:
            self._awaited = None
            self._deadline.close(level)

    def look(self, elapsed_s: float, meter: LoadMeter) -> None:
        """About once a second while it plays."""
        late, self._skipped = meter.skipped > self._skipped, meter.skipped
        fullness = meter.fullness
        if self._light:
            fullness, late = self._pressure_of_light(elapsed_s, meter)
        if fullness is None:
            return  # nobody speaks: that says nothing
        if self._thread_budget.update(elapsed_s, late or fullness >= FULL, self._cost):
            self._deadline.settle()
            self._warm_ahead()
        level = self._deadline.level
        if self._awaited is not None and self._awaited > level:
            return
        wanted = self._deadline.look(elapsed_s, fullness, late)
        if self._light and wanted != level:
            # one by one: what short blocks cost on a busy machine is seen only when they are lost
            wanted = level - 1 if wanted < level else level + 1
        # a step up is prepared in what time the voice leaves; until it is there, a step down may be needed
        if wanted > level or (wanted < level and self._awaited is None):
            self._awaited = wanted
            self._request(LoadRequest(self._voice, self._asked, wanted))

    def _pressure_of_light(self, elapsed_s: float, meter: LoadMeter) -> tuple[float, bool]:
        """Fullness of a voice without nets, and whether its blocks are too short for this machine: it lost much, or it
        lost something and computing takes as long as speaking."""
        lost_s, self._lost_s = meter.lost_s - self._lost_s, meter.lost_s
        load = meter.load
        late = lost_s > STARVED * elapsed_s or (lost_s > 0 and load >= FULL)
        return (max(load, LOST) if late else min(load, PRESSED)), late

    def fails(self) -> None:
        """What was awaited from the loader does not come."""
        self._awaited = None

    def suspends(self) -> None:
        """Nothing is heard. A light voice begins again as it was asked: its first step is there at once, and a machine
        that was busy for one listener need not be for the next."""
        self._awaited = None
        self._say("")
        if self._light and self._deadline.level and self._voice:
            self._awaited = 0
            self._request(LoadRequest(self._voice, self._asked, 0))

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._send(QualityReduced(text))
