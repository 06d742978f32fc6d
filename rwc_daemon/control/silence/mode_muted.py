"""The user said `rwcctl mute`."""

from __future__ import annotations

from rwc_daemon.control.silence.observed import Cause, Observed


def cause(seen: Observed) -> Cause | None:
    if seen.mode != "mute":
        return None
    return Cause("mute", "RWC Mic is silent because you muted it: 'rwcctl unmute' ends that", fault=False)
