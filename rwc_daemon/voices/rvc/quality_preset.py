"""What one live session spends: sizes and trackers, by device and the quality that the user asked for.

Longer blocks and contexts cost latency and work; what each is worth is measured by `tools/bench_live` and stands in
docs/measurements/live.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from rwc_daemon.errors import OutOfRange

PAST_MS = 2500.0  # of sound that a session remembers: what the reference recomputes with every block


@dataclass(frozen=True)
class QualityPreset:
    """How a session works. The nets hear this much before the block; behind it they hear the delay."""

    block_ms: float
    """The wish that `Plan.fit` makes exact."""
    content_ms: float
    """Heard by the content encoder; its first norm hears all that is remembered."""
    text_ms: float
    """Heard by the text encoder."""
    tracker: str
    """What "auto" means, if it can be had."""
    delay_ms: float = 30.0
    """Sound after the block, heard before the block is played."""
    splice_ms: float = 10.0
    """Of it, the crossfade with the next rendering."""


# what lacks a tracker's weights takes the next best; a machine too slow for a step begins with a cheaper one, so
# these are what a fast machine gets
QUALITY_PRESETS: dict[str, dict[str, QualityPreset]] = {
    "cpu": {
        "low": QualityPreset(100, 300, 480, "yin", 20),
        "balanced": QualityPreset(90, 500, 480, "fcpe"),
        "high": QualityPreset(160, 1000, 800, "rmvpe", 50),
    },
    "cuda": {
        "low": QualityPreset(40, 500, 480, "fcpe", 20),
        "balanced": QualityPreset(40, 1000, 800, "rmvpe", 30),
        "high": QualityPreset(60, 2500, 2500, "rmvpe", 50),
    },
}


def quality_preset(device: str, quality: str) -> QualityPreset:
    """Raises OutOfRange for a quality that is none."""
    table = QUALITY_PRESETS[device]
    if quality not in table:
        raise OutOfRange(f"quality is one of {', '.join(table)}; not '{quality}'")
    return table[quality]
