"""Sound comes in, and RWC Mic plays digital silence all the same."""

from __future__ import annotations

from rwc_daemon.control.silence.observed import GONE_S, Cause, Observed


def cause(seen: Observed) -> Cause | None:
    if seen.sound is None or seen.sound.dumb_s < GONE_S or seen.mode != "convert":
        return None
    cure = "choose another voice with 'rwcctl use NAME', or restart with 'systemctl --user restart rwc-daemon'"
    return Cause("nothing-converted", f"the voice has given only digital silence for half a minute: {cure}")
