"""What RWC Mic depends on beside this process: the session manager, the PulseAudio server, the holder of its node.

Each has an identity that a restart changes. One restart takes others along, so a change is judged only when the graph
has been as it is for a moment; where the server itself was restarted, `Life` has said that already.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rwc_daemon.audio.graph import Graph
from rwc_daemon.audio.programs import MANAGER, SERVER
from rwc_daemon.control.faults import Faults

SETTLED_S = 0.8
HOLDER, PULSE = "holder", "pulse"
AGAIN = "where one stays silent, choose RWC Mic there again"
SENTENCES = {
    HOLDER: f"the process that holds RWC Mic was started again: programs heard silence meanwhile; {AGAIN}",
    PULSE: f"the PulseAudio server was restarted: programs that record through it were cut off; {AGAIN}",
    MANAGER: "the session manager was restarted: if a program stays silent now, 'rwcctl doctor --fix' looks why",
}


class Dependencies:
    """Call `look` at every change of the graph, and again soon while `unsettled`."""

    def __init__(self, faults: Faults, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults, self._clock = faults, clock
        self._known: dict[str, str] = {}
        self._expected: set[str] = set()
        self._changed_s = 0.0
        self.unsettled = False

    def expect(self, role: str) -> None:
        """That one is about to be restarted by us, and told of already."""
        self._expected.add(role)

    def look(self, graph: Graph, pulse: str) -> None:
        """`pulse`: the PulseAudio server, as `programs.pulse_server` names it."""
        node = graph.microphone
        seen = {role: graph.identity(role) for role in (SERVER, MANAGER)}
        seen |= {HOLDER: node.serial if node else "", PULSE: pulse}
        changed = {role for role, who in self._known.items() if who and seen[role] != who}
        others = [role for role in self._known if role in changed - self._expected]
        if not others:
            self._expected -= changed
            self._known, self.unsettled = seen, False
        elif not self.unsettled:
            self._changed_s, self.unsettled = self._clock(), True
        elif self._clock() - self._changed_s >= SETTLED_S and seen[SERVER]:
            self._tell(others)
            self._known, self.unsettled = seen, False

    def _tell(self, others: list[str]) -> None:
        for role in others if SERVER not in others else []:
            self._faults.happened("Interrupted", SENTENCES[role])
