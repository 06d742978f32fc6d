"""The microphone's node does not run although it is linked to us."""

from __future__ import annotations

from rwc_daemon.control.silence.observed import DEAD_S, Cause, Observed

ASLEEP = ("suspended", "error", "creating")


def cause(seen: Observed) -> Cause | None:
    if not seen.input or seen.sound is None or seen.sound.zero_s < DEAD_S or seen.input_mixer.state not in ASLEEP:
        return None
    cure = "plug it out and in, choose another one with 'rwcctl input NAME', or 'systemctl --user restart wireplumber'"
    return Cause("input-asleep", f"{seen.input_name} does not run (it is '{seen.input_mixer.state}'): {cure}")
