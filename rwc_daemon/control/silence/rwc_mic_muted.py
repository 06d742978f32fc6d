"""RWC Mic itself is muted in the mixer."""

from __future__ import annotations

from rwc_daemon.audio.holder import NODE
from rwc_daemon.control.silence.observed import Cause, Observed


def cause(seen: Observed) -> Cause | None:
    if seen.microphone is None or not seen.microphone.muted:
        return None
    return Cause(
        "rwc-mic-muted",
        f"RWC Mic is muted in the mixer, programs hear silence: unmute it there, or 'pactl set-source-mute {NODE} 0'",
    )
