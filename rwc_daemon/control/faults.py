"""What is wrong now, and what was wrong last: one plain sentence each, told once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from rwc_daemon.errors import RwcError
from rwc_daemon.host.journal import FAULT, event

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    code: str = ""
    # a class name of `errors`
    message: str = ""
    # says what to do


class Faults:
    """Standing faults by place ("audio", "engine", …); a fault is told when it begins or its words change."""

    def __init__(self, tell: Callable[[Fault], None]) -> None:
        self._tell = tell
        self._standing: dict[str, Fault] = {}
        self.last = Fault()

    def __bool__(self) -> bool:
        return bool(self._standing)

    @property
    def shown(self) -> Fault:
        """The newest standing fault, or none."""
        return next(reversed(self._standing.values()), Fault())

    def stands(self, place: str) -> bool:
        return place in self._standing

    def begin(self, place: str, code: str, message: str) -> None:
        """It lasts until `end(place)`."""
        fault = Fault(code, message)
        if self._standing.get(place) == fault:
            return
        self._standing.pop(place, None)
        self._standing[place] = fault
        self._say(fault)

    def begin_with(self, place: str, error: RwcError) -> None:
        self.begin(place, error.code, str(error))

    def end(self, place: str) -> None:
        self._standing.pop(place, None)

    def happened(self, code: str, message: str) -> None:
        """Over as soon as it is told."""
        self._say(Fault(code, message))

    def _say(self, fault: Fault) -> None:
        self.last = fault
        event(log, FAULT, fault.message, logging.WARNING, RWC_CODE=fault.code)
        self._tell(fault)
