"""What is wrong now, and what was wrong last: one plain sentence each, told once.

A fault stands from `begin` to `end`, or is over as soon as it has happened. What stands is the status' fault. What is
over is in the journal, and for ten minutes it is the status' last trouble, with its age.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from rwc_daemon.errors import RwcError
from rwc_daemon.host.journal import FAULT, FAULT_OVER, event

log = logging.getLogger(__name__)

RECENT_S = 600.0


@dataclass(frozen=True)
class Fault:
    code: str = ""
    """A class name of `errors`."""
    message: str = ""
    """Says what to do."""


class Faults:
    """Standing faults by place ("audio", "engine", …); a fault is told when it begins or its words change."""

    def __init__(self, tell: Callable[[Fault], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self._standing: dict[str, Fault] = {}
        self._began_s: dict[str, float] = {}
        self._past, self._over_s = Fault(), 0.0

    def __bool__(self) -> bool:
        return bool(self._standing)

    @property
    def shown(self) -> Fault:
        """The newest standing fault, or none."""
        return next(reversed(self._standing.values()), Fault())

    def past(self) -> tuple[Fault, float]:
        """What was over last, and how many seconds ago; none where that is long ago."""
        age_s = self._clock() - self._over_s
        return (self._past, age_s) if self._past.code and age_s < RECENT_S else (Fault(), 0.0)

    def figures(self) -> dict[str, str | float]:
        """What stands and what is over, for the statistics."""
        past, age_s = self.past()
        return {
            "fault_code": self.shown.code,
            "fault_message": self.shown.message,
            "last_fault_code": past.code,
            "last_fault_message": past.message,
            "last_fault_age_s": age_s,
        }

    def stands(self, place: str) -> bool:
        return place in self._standing

    def begin(self, place: str, code: str, message: str) -> None:
        """It lasts until `end(place)`."""
        fault = Fault(code, message)
        if self._standing.get(place) == fault:
            return
        self._standing.pop(place, None)
        self._standing[place] = fault
        self._began_s.setdefault(place, self._clock())
        self._say(fault)

    def begin_with(self, place: str, error: RwcError) -> None:
        self.begin(place, error.code, str(error))

    def end(self, place: str) -> None:
        """Harmless where none stands."""
        fault = self._standing.pop(place, None)
        if fault is None:
            return
        self._is_over(fault)
        lasted_s = self._over_s - self._began_s.pop(place)
        event(log, FAULT_OVER, f"over after {lasted_s:.1f} s: {fault.message}", RWC_CODE=fault.code)

    def happened(self, code: str, message: str) -> None:
        """Over as soon as it is told."""
        self._is_over(Fault(code, message))
        self._say(Fault(code, message))

    def _is_over(self, fault: Fault) -> None:
        self._past, self._over_s = fault, self._clock()

    def _say(self, fault: Fault) -> None:
        event(log, FAULT, fault.message, logging.WARNING, RWC_CODE=fault.code)
        self._tell(fault)
