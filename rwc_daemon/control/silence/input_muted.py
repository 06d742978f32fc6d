"""The microphone that feeds RWC is muted in the mixer."""

from __future__ import annotations

from rwc_daemon.control.silence.observed import Cause, Observed


def cause(seen: Observed) -> Cause | None:
    if not seen.input or not seen.input_mixer.muted or not seen.silent_in:
        return None
    cure = f"unmute it there, by its own button, or 'pactl set-source-mute {seen.input} 0'"
    return Cause("input-muted", f"{seen.input_name} is muted in the mixer: {cure}")
