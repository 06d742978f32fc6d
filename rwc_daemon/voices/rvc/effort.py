"""What one live session spends: sizes and trackers, by device, precision and the quality that the user asked for.

Longer blocks and contexts cost latency and work; what each is worth is measured by `tools/bench_live` and stands in
docs/performance.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from rwc_daemon.errors import OutOfRange

PAST_MS = 2500.0  # of sound that a session remembers: what the reference recomputes with every block


@dataclass(frozen=True)
class Effort:
    """How a session works. The nets hear this much before the block; behind it they hear the delay."""

    block_ms: float
    # the wish that `Plan.fit` makes exact
    content_ms: float
    # heard by the content encoder; its first norm hears all that is remembered
    text_ms: float
    # heard by the text encoder
    tracker: str
    # what "auto" means, if it can be had
    delay_ms: float = 30.0
    # sound after the block, heard before the block is played
    splice_ms: float = 10.0
    # of it, the crossfade with the next rendering


# by device, on a CPU by precision; what lacks a tracker's weights takes the next best
EFFORTS: dict[str, dict[str, Effort]] = {
    "bfloat16": {
        "low": Effort(120, 300, 480, "yin", 20),
        "balanced": Effort(80, 500, 480, "fcpe"),
        "high": Effort(160, 1000, 800, "rmvpe", 50),
    },
    "float32": {
        "low": Effort(320, 300, 480, "yin", 20),
        "balanced": Effort(400, 500, 480, "fcpe"),
        "high": Effort(480, 1000, 800, "rmvpe", 50),
    },
    "cuda": {
        "low": Effort(40, 500, 480, "fcpe", 20),
        "balanced": Effort(40, 1000, 800, "rmvpe", 30),
        "high": Effort(60, 2500, 2500, "rmvpe", 50),
    },
}


def effort(device: str, precision: str, quality: str) -> Effort:
    """Raises OutOfRange for a quality that is none."""
    table = EFFORTS["cuda" if device == "cuda" else "bfloat16" if precision == "bfloat16" else "float32"]
    if quality not in table:
        raise OutOfRange(f"quality is one of {', '.join(table)}; not '{quality}'")
    return table[quality]
