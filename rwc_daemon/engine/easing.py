"""Carries out what the deadline controller decides for the voice that plays, and says so."""

from __future__ import annotations

from collections.abc import Callable

from rwc_daemon.controls import Controls
from rwc_daemon.engine.crew import Crew
from rwc_daemon.engine.deadline import FULL, Deadline, Step
from rwc_daemon.engine.meter import Meter
from rwc_daemon.engine.wish import Loaded, Warmed, Wish
from rwc_daemon.messages import Eased, Message


class Easing:
    """Of one inference thread. `want` asks the loader for the same voice at another step."""

    def __init__(self, crew: Crew, want: Callable[[Wish], None], send: Callable[[Message], None]) -> None:
        self._crew, self._want, self._send = crew, want, send
        self._voice = self._name = ""
        self._steps: tuple[Step, ...] = ()
        self._asked = Controls()
        self._cost = 0.0  # of the step that runs, on one thread
        self._deadline = Deadline(1)
        self._skipped = 0
        self._waits = False  # for the loader
        self._said = ""

    def plays(self, loaded: Loaded) -> None:
        """This has taken over, or would if somebody listened."""
        self._waits = False
        if loaded.eased:
            self._deadline.at(loaded.level)
        else:
            self._voice, self._name, self._steps = loaded.voice.info.id, loaded.voice.info.name, loaded.steps
            self._deadline = Deadline(len(self._steps), loaded.level)
        self._asked, self._cost = loaded.asked, loaded.cost
        self._deadline.note(loaded.level, loaded.cost)
        if loaded.level + 1 < len(self._steps):
            self._want(Wish(self._voice, self._asked, loaded.level + 1, only_warm=True))

    def heard(self, block_ms: float) -> None:
        """It is heard, in blocks of this length: where that is less than was asked, it is said."""
        less = self._steps[self._deadline.level].less_than(self._steps[0], block_ms)
        text = f"this machine is too slow for '{self._name}' at quality {self._steps[0].quality}: it runs with {less} "
        self._say(text + "until there is room; close other programs or choose a lower quality" if less else "")

    def warmed(self, warmed: Warmed) -> None:
        """A step of this voice was tried out, beside the one that plays."""
        if warmed.loaded.steps == self._steps and warmed.loaded.voice.info.id == self._voice:
            self._deadline.note(warmed.loaded.level, warmed.loaded.cost)

    def refused(self, voice: str, level: int) -> None:
        """The loader cannot bring that step (a tracker that is not on this machine)."""
        if voice == self._voice:
            self._waits = False
            self._deadline.close(level)

    def look(self, elapsed_s: float, meter: Meter) -> None:
        """About once a second while it plays."""
        late, self._skipped = meter.skipped > self._skipped, meter.skipped
        fullness = meter.fullness
        if fullness is None:
            return  # nobody speaks: that says nothing
        if self._crew.look(elapsed_s, late or fullness >= FULL, self._cost):
            self._deadline.settle()
        if self._waits:
            return
        wanted = self._deadline.look(elapsed_s, fullness, late)
        if wanted != self._deadline.level:
            self._waits = True
            self._want(Wish(self._voice, self._asked, wanted))

    def fails(self) -> None:
        """What was awaited from the loader does not come."""
        self._waits = False

    def rests(self) -> None:
        """Nothing is heard."""
        self._waits = False
        self._say("")

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._send(Eased(text))
