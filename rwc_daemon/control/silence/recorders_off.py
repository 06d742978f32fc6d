"""A program's own recording is muted or turned down to nothing; another program may hear all."""

from __future__ import annotations

from rwc_daemon.control.silence.observed import Cause, Observed, ObservedRecorder

NOTHING_PERCENT = 1.5


def is_off(recorder: ObservedRecorder) -> bool:
    return recorder.mixer.muted or recorder.mixer.percent < NOTHING_PERCENT


def cause(seen: Observed) -> Cause | None:
    off = [recorder for recorder in seen.recorders if is_off(recorder)]
    if not off:
        return None
    names = ", ".join(dict.fromkeys(f"'{recorder.name}'" for recorder in off))
    how = "muted" if off[0].mixer.muted else "at volume 0"
    return Cause(
        "recorder-off",
        f"{names} records RWC Mic {how}: look at the recording streams in the mixer (pavucontrol, 'Recording')",
        fault=len(off) == len(seen.recorders),
    )
