"""The microphone's volume in the mixer lets next to nothing through."""

from __future__ import annotations

from rwc_daemon.control.silence.observed import FOUND_S, LOW_PERCENT, SOFT_S, Cause, Observed


def cause(seen: Observed) -> Cause | None:
    percent = seen.input_mixer.percent
    faint = seen.sound is None or seen.sound.faint_s >= FOUND_S or seen.sound.soft_s >= SOFT_S
    if not seen.input or not faint or percent > LOW_PERCENT:
        return None
    cure = f"turn it up there, or 'pactl set-source-volume {seen.input} 100%'"
    return Cause("input-low", f"{seen.input_name} is at volume {percent:.0f} % in the mixer: {cure}")
