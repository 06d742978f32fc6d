"""The doctor looks for what makes RWC Mic silent, or would: the daemon's own finding, or without one the mixer's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rwc_daemon.audio.graph import Graph, changed
from rwc_daemon.audio.input_choice import decide_input
from rwc_daemon.control.silence.look import look
from rwc_daemon.control.silence.observed import Cause
from rwc_daemon.control.silence.table import first
from rwc_daemon.doctor.finding import BAD, GOOD, NOTE, Finding, answer
from rwc_daemon.doctor.graph import CLIENT, saved_input

WANTED = ("mute", "below-gate", "recorder-off")  # the user's own doing, or one program's; a fault says where it is more


def silence(figures: Mapping[str, Any] | None, state_dir: Path) -> list[Finding]:
    """`figures`: the daemon's statistics; None: it does not run."""
    if figures is None:
        dump = answer("pw-dump", "--no-colors")
        if not dump:
            return []  # other findings say that no server answers
        cause = _seen_from_outside(dump, saved_input(state_dir / "state.json"))
        name, message = (cause.name, cause.message) if cause else ("", "")
    else:
        name, message = figures.get("silence_cause", ""), figures.get("silence_message", "")
        if message and message == figures.get("fault_message"):
            return []  # the fault says it
    if not message:
        if figures is not None and not figures.get("input_node"):
            return []  # the input's finding says that there is none
        return [Finding("sound", GOOD, "nothing mutes or cuts off the way from the microphone to programs")]
    text, _, cure = message.rpartition(": ")
    return [Finding("sound", NOTE if name in WANTED else BAD, text, cure)]


def _seen_from_outside(dump: str, wanted: str) -> Cause | None:
    """`wanted`: the microphone that the next daemon will follow."""
    graph = changed(Graph(), json.loads(dump))
    return first(look(graph, decide_input(graph, wanted, CLIENT).name))
