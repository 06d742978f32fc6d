"""Carries out what the deadline controller decides for the voice that plays, and says so."""

from __future__ import annotations

from collections.abc import Callable

from rwc_daemon.controls import Controls
from rwc_daemon.engine.deadline import Deadline, Step, ladder
from rwc_daemon.engine.loader import Loaded, Wish
from rwc_daemon.engine.meter import Meter
from rwc_daemon.messages import Eased, Message
from rwc_daemon.voices.base import Adjustable


class Easing:
    """Of one inference thread. `want` asks the loader for the same voice at another step."""

    def __init__(self, want: Callable[[Wish], None], send: Callable[[Message], None]) -> None:
        self._want, self._send = want, send
        self._voice = ""
        self._steps: tuple[Step, ...] = ()
        self._deadline = Deadline(0)
        self._skipped = 0
        self._waits = False  # for the loader
        self._said = ""

    def plays(self, loaded: Loaded, block_ms: float) -> None:
        """This has taken over."""
        self._waits = False
        if loaded.level is None:
            self._begin(loaded)
        else:
            self._deadline.at(loaded.level)
        self._say(loaded, block_ms)

    def refused(self, level: int) -> None:
        """The loader cannot bring that step (a tracker that is not on this machine)."""
        self._waits = False
        now = self._deadline.level
        self._steps = self._steps[:level] + self._steps[level + 1 :]
        self._deadline = Deadline(len(self._steps))
        self._deadline.at(now - (level < now))

    def look(self, elapsed_s: float, meter: Meter, controls: Controls) -> None:
        """About once a second while it plays."""
        late, self._skipped = meter.skipped > self._skipped, meter.skipped
        if not self._steps or self._waits:
            return
        wanted = self._deadline.look(elapsed_s, meter.fullness, meter.cost, late)
        if wanted == self._deadline.level:
            return
        step = self._steps[wanted]
        self._waits = True
        self._want(Wish(self._voice, step.of(controls), step.stretch, wanted))

    def rests(self) -> None:
        """Nothing plays."""
        self._waits = False

    def _begin(self, loaded: Loaded) -> None:
        adjustable = isinstance(loaded.voice, Adjustable)
        self._voice = loaded.voice.info.id
        self._steps = ladder(loaded.controls, loaded.voice.info.f0) if adjustable else ()
        self._deadline = Deadline(len(self._steps))

    def _say(self, loaded: Loaded, block_ms: float) -> None:
        less = self._steps[self._deadline.level].less_than(self._steps[0], block_ms) if self._steps else ""
        text = ""
        if less:
            text = f"this machine is too slow for '{loaded.voice.info.name}' at quality {self._steps[0].quality}: "
            text += f"it runs with {less} until there is room; close other programs or choose a lower quality"
        if text != self._said:
            self._said = text
            self._send(Eased(text))
