"""Only the channel that is not used carries sound. With `auto` it is soon the one that is."""

from __future__ import annotations

from rwc_daemon.control.silence.observed import FOUND_S, Cause, Observed

OTHER = {"left": "right", "right": "left"}


def cause(seen: Observed) -> Cause | None:
    other = OTHER.get(seen.side)
    if not other or seen.channel == "auto" or seen.sound is None or seen.sound.beside_s < FOUND_S:
        return None
    cure = f"'rwcctl input {seen.input} --channel auto' (or {other}) takes it"
    return Cause("one-sided", f"only the {other} channel of {seen.input_name} carries sound: {cure}")
