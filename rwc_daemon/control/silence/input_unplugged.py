"""Nothing is plugged into the sound card's way in, or a privacy switch has cut it off."""

from __future__ import annotations

from rwc_daemon.control.silence.observed import Cause, Observed


def cause(seen: Observed) -> Cause | None:
    if not seen.input or not seen.jack or not seen.silent_in:
        return None
    cure = "plug it in, or look for a privacy switch or key; 'rwcctl inputs' lists other microphones"
    return Cause("input-unplugged", f"the sound card says that '{seen.jack}' of {seen.input_name} is not there: {cure}")
