"""Digital silence comes in, and nothing that can be asked says why."""

from __future__ import annotations

from rwc_daemon.control.silence.observed import DEAD_S, GONE_S, Cause, Observed


def cause(seen: Observed) -> Cause | None:
    if not seen.input or seen.sound is None or seen.sound.zero_s < (GONE_S if seen.sound.heard else DEAD_S):
        return None
    cure = "look for a mute button or privacy switch on it, or choose another one with 'rwcctl input NAME'"
    return Cause("input-dead", f"{seen.input_name} gives digital silence although it is not muted: {cure}")
