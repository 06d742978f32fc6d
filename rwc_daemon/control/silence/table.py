"""All causes, the nearest to the listener first: the first that holds is told."""

from __future__ import annotations

from collections.abc import Callable

from rwc_daemon.control.silence import (
    below_gate,
    input_asleep,
    input_dead,
    input_low,
    input_muted,
    input_unplugged,
    mode_muted,
    nothing_converted,
    one_sided,
    recorders_off,
    rwc_mic_muted,
)
from rwc_daemon.control.silence.observed import Cause, Observed

CAUSES: tuple[Callable[[Observed], Cause | None], ...] = (
    rwc_mic_muted.cause,
    mode_muted.cause,
    input_muted.cause,
    input_unplugged.cause,
    input_low.cause,
    input_asleep.cause,
    one_sided.cause,
    input_dead.cause,
    nothing_converted.cause,
    recorders_off.cause,
    below_gate.cause,
)


def first(seen: Observed) -> Cause | None:
    return next((cause for look in CAUSES if (cause := look(seen))), None)
