"""The sentence for a microphone that hears and plays nothing, because converted voice never comes in time."""

from __future__ import annotations

from rwc_daemon.control.faults import Faults
from rwc_daemon.control.figures import Figures
from rwc_daemon.link.ring import Counters

PLACE = "starving"
SILENT = 0.95  # of a second
HEARD = 0.5
SHORT_QUANTUM = 64


class Starving:
    """Call `look` about once a second while somebody listens."""

    def __init__(self, figures: Figures, faults: Faults) -> None:
        self._figures, self._faults = figures, faults
        self._converting = False

    def look(self, before: Counters, converting: bool) -> None:
        """`before`: the counters of the look before; `converting`: a voice should be heard. Judged is only a time
        through which it should: a voice that has just been chosen is silent for its delay."""
        throughout, self._converting = converting and self._converting, converting
        share = self._figures.silent_share(before)
        if throughout and share > SILENT:
            self._faults.begin(PLACE, "Overloaded", self._sentence())
        elif not converting or share < HEARD:
            self._faults.end(PLACE)

    def _sentence(self) -> str:
        quantum = self._figures.counters.quantum
        cure = "close busy programs, or choose a lighter voice"
        if quantum < SHORT_QUANTUM:
            cure = f"close busy programs, or give the graph more than {quantum} samples a cycle (clock.force-quantum)"
        return f"converted voice does not come in time and RWC Mic is silent, longer blocks are being tried: {cure}"
