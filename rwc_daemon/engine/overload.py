"""Overload handling: what runs with less when a machine cannot keep up, and when it is undone.

A voice has a ladder of levels: level 0 is as the user asked, each later one is cheaper (less context, then a lighter
tracker, then longer blocks). Overload leads down to the first level that is expected to fit. Room for a while leads up,
if the measured cost of the levels above fits. A step up that had to be taken back makes the next one wait twice as
long, so nothing flaps. The ladder has an end: latency is bounded, and what is late beyond it is dropped.

`LevelControl` decides, `OverloadController` asks the loader for the level and tells the daemon. All limits stand in
`rwc_daemon/thresholds.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rwc_daemon.controls import Controls
from rwc_daemon.engine.load_meter import LoadMeter
from rwc_daemon.engine.load_request import LoadedVoice, LoadRequest, PrewarmedStep
from rwc_daemon.engine.thread_budget import ThreadBudget
from rwc_daemon.messages import Message, QualityReduced
from rwc_daemon.thresholds import THRESHOLDS, Thresholds
from rwc_daemon.voices.base import Adjustable
from rwc_daemon.voices.quality_ladder import QualityStep


class LevelControl:
    """Decides the level on one ladder. Levels count from 0, as asked; the caller tells the time."""

    def __init__(self, levels: int, level: int = 0, thresholds: Thresholds = THRESHOLDS) -> None:
        self._levels, self._thresholds = levels, thresholds
        self.level = level
        self._cost: dict[int, float] = {}
        self._age_s = self._overload_s = self._room_s = 0.0
        self._recovery_s = thresholds.recovery_s
        self._went_up = False

    def note(self, level: int, cost: float) -> None:
        """Notes CPU time / audio time at a level, as measured while warming. What a level takes while it plays is not
        compared: on a busy machine the same work takes up to twice the time, and the way back up would be barred."""
        self._cost[level] = cost

    def exclude(self, level: int) -> None:
        """This level cannot be loaded."""
        self._cost[level] = math.inf

    def settle(self) -> None:
        """Something else was changed: what was seen until now says nothing."""
        self._age_s = self._overload_s = self._room_s = 0.0

    def look(self, elapsed_s: float, load: float, lost: bool) -> int:
        """Returns the level that fits now. `load`: compute time / block duration; `lost`: input was dropped."""
        limits = self._thresholds
        self._age_s += elapsed_s
        if self._age_s <= limits.settle_s:
            return self.level
        if self._went_up and self._age_s > limits.failed_step_up_s:
            self._went_up, self._recovery_s = False, limits.recovery_s
        severe, overloaded = lost or load >= limits.severe_load, lost or load >= limits.load_limit
        self._overload_s = self._overload_s + elapsed_s if overloaded else 0.0
        above = self._level_above(load)
        gained_s = elapsed_s if above < self.level else -limits.recovery_loss * elapsed_s
        self._room_s = 0.0 if lost else max(0.0, self._room_s + gained_s)
        if self._overload_s >= (limits.severe_overload_s if severe else limits.overload_s):
            return self._level_below(load, limits.step_down_load if severe else limits.load_limit)
        return above if self._room_s >= self._recovery_s else self.level

    def at(self, level: int) -> None:
        """The voice runs at this level from now on."""
        if level > self.level and self._went_up:
            self._recovery_s = min(2 * self._recovery_s, self._thresholds.longest_recovery_s)
        self._went_up = level < self.level
        self.level = level
        self.settle()

    def _level_below(self, load: float, wanted: float) -> int:
        """Returns the first cheaper level that is expected to fit, or the cheapest."""
        cheapest = self.level
        for level in range(self.level + 1, self._levels):
            if self._ratio(level) < self._ratio(cheapest):
                cheapest = level
                if load * self._ratio(level) <= wanted:
                    break
        return cheapest

    def _level_above(self, load: float) -> int:
        """Returns the best level that is expected to fit; one without a measured cost only from the one below it."""
        possible = [level for level in range(self.level) if self._cost.get(level) != math.inf]
        for level in possible:
            known = level in self._cost or level == possible[-1]
            if known and load * max(1.0, self._ratio(level)) <= self._thresholds.step_up_load:
                return level
        return self.level

    def _ratio(self, level: int) -> float:
        """Returns the cost of a level / the cost of the present one."""
        now, then = self._cost.get(self.level), self._cost.get(level)
        if then == math.inf:
            return then
        if not (now and then):
            return self._thresholds.unknown_cost_ratio ** (self.level - level)
        return min(then / now, max(1.0, self._thresholds.highest_cost_ratio ** (self.level - level)))


class OverloadController:
    """The one controller of an inference thread: it owns level and threads of the voice that plays."""

    def __init__(
        self,
        thread_budget: ThreadBudget,
        request: Callable[[LoadRequest], None],
        send: Callable[[Message], None],
        thresholds: Thresholds = THRESHOLDS,
    ) -> None:
        """`request` asks the loader for the same voice at another level; `send` tells the daemon."""
        self._thread_budget, self._request, self._send, self._thresholds = thread_budget, request, send, thresholds
        self._voice = self._name = ""
        self._steps: tuple[QualityStep, ...] = ()
        self._asked = Controls()
        self._cost = 0.0  # of the level that runs, on one thread
        self._warmed: dict[int, int] = {}  # level → threads that it was warmed for
        self._light = True  # a voice without nets: single slow blocks say nothing, lost ones do
        self._control = LevelControl(1, thresholds=thresholds)
        self._skipped, self._lost_s = 0, 0.0
        self._since_loss_s = math.inf
        self._requested: int | None = None  # the level that the loader was asked for
        self._told = ""

    @property
    def level(self) -> int:
        """The level that runs."""
        return self._control.level

    @property
    def threads(self) -> int:
        """Threads that the voice's nets run on: as many as there is room for, and at most what they were warmed for."""
        return min(self._thread_budget.threads, self._warmed.get(self.level, 1))

    def overloaded(self, meter: LoadMeter) -> bool:
        """Returns True where computing takes nearly as long as speaking. A voice without nets has some 150 blocks a
        second, of which a busy machine stops a few for long: their mean counts."""
        load = meter.load_now if self._light else meter.load_p75
        return load is not None and load >= self._thresholds.load_limit

    def plays(self, loaded: LoadedVoice) -> None:
        """This voice plays from now on, or would if somebody listened."""
        self._requested = None
        if loaded.reduced:
            self._control.at(loaded.level)
        else:
            self._voice, self._name, self._steps = loaded.voice.info.id, loaded.voice.info.name, loaded.steps
            self._control = LevelControl(len(self._steps), loaded.level, self._thresholds)
            self._warmed = {}
        self._since_loss_s = math.inf
        self._asked, self._cost = loaded.asked, loaded.cost
        self._light = not isinstance(loaded.voice, Adjustable)
        self._note(loaded)

    def heard(self, block_ms: float) -> None:
        """The voice is heard, in blocks of this length: where that is less than was asked, the user is told."""
        less = self._steps[self.level].less_than(self._steps[0], block_ms)
        at = "" if self._light else f" at quality {self._steps[0].quality}"
        cure = "close other programs" if self._light else "close other programs or choose a lower quality"
        text = f"this machine is too slow for '{self._name}'{at}: it runs with {less} until there is room; {cure}"
        self._tell(text if less else "")

    def warmed(self, warmed: PrewarmedStep) -> None:
        """A level of this voice was warmed beside the one that plays."""
        if warmed.loaded.steps == self._steps and warmed.loaded.voice.info.id == self._voice:
            self._note(warmed.loaded)

    def _note(self, loaded: LoadedVoice) -> None:
        self._control.note(loaded.level, loaded.cost)
        self._warmed[loaded.level] = loaded.threads
        self._warm_ahead()

    def _warm_ahead(self) -> None:
        """Prepares what may be needed at once: this level on all threads that there is room for, and the one below."""
        if self._light:
            return  # such a voice is ready in a moment
        for level in (self.level, self.level + 1):
            if level < len(self._steps) and self._warmed.get(level, 0) < self._thread_budget.threads:
                self._request(LoadRequest(self._voice, self._asked, level, prewarm_only=True))
                return

    def refused(self, voice: str, level: int) -> None:
        """The loader cannot bring that level (its tracker is not on this machine)."""
        if voice == self._voice:
            self._requested = None
            self._control.exclude(level)

    def look(self, elapsed_s: float, meter: LoadMeter) -> None:
        """Judges the load. Call it about twice a second while the voice plays."""
        lost, self._skipped = meter.skipped > self._skipped, meter.skipped
        load = meter.load_p75
        if self._light:
            load, lost = self._light_load(elapsed_s, meter)
        if load is None:
            return  # nobody speaks: that says nothing
        if self._thread_budget.update(elapsed_s, lost or load >= self._thresholds.load_limit, self._cost):
            self._control.settle()
            self._warm_ahead()
        level = self.level
        if self._requested is not None and self._requested > level:
            return
        wanted = self._control.look(elapsed_s, load, lost)
        if self._light and wanted != level:
            # one by one: what short blocks cost on a busy machine is seen only when they are lost
            wanted = level - 1 if wanted < level else level + 1
        # a step up is loaded beside the playing voice, which takes a while: until then a step down may be needed
        if wanted > level or (wanted < level and self._requested is None):
            self._requested = wanted
            self._request(LoadRequest(self._voice, self._asked, wanted))

    def _light_load(self, elapsed_s: float, meter: LoadMeter) -> tuple[float, bool]:
        """Returns the load of a voice without nets, and whether its blocks are too short for this machine: it lost
        much, or it lost something lately and computing takes as long as speaking."""
        limits, load = self._thresholds, meter.load
        lost_s, self._lost_s = meter.lost_s - self._lost_s, meter.lost_s
        self._since_loss_s = 0.0 if lost_s > 0 else self._since_loss_s + elapsed_s
        lately = self._since_loss_s < limits.load_window_s
        lost = lost_s > limits.lost_share * elapsed_s or (lately and load >= limits.load_limit)
        return (max(load, limits.severe_load) if lost else min(load, limits.below_limit)), lost

    def fails(self) -> None:
        """What the loader was asked for does not come."""
        self._requested = None

    def suspends(self) -> None:
        """Nobody listens. A light voice goes back to level 0: it is there at once, and a machine that was busy for one
        listener need not be for the next."""
        self._requested = None
        self._tell("")
        if self._light and self.level and self._voice:
            self._requested = 0
            self._request(LoadRequest(self._voice, self._asked, 0))

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._send(QualityReduced(text))
