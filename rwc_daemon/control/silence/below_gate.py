"""All that comes in is quieter than the gate: a quiet room, or a soft microphone."""

from __future__ import annotations

from rwc_daemon.control.silence.observed import GONE_S, Cause, Observed


def cause(seen: Observed) -> Cause | None:
    if seen.sound is None or seen.sound.gated_s < GONE_S or seen.mode != "convert":
        return None
    cure = "speak up, turn the microphone up, or lower the gate with 'rwcctl set gate_db'"
    text = f"nothing louder than the gate ({seen.gate_db:.0f} dB) has come in for half a minute: {cure}"
    return Cause("below-gate", text, fault=False)
