"""How a voice runs, from what the user asked for down to the cheapest: quality, then a lighter tracker, then longer
blocks.
The engine goes down and up these steps with the load (engine/overload.py)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rwc_daemon.controls import QUALITIES, Controls
from rwc_daemon.trackers import TRACKERS

STRETCHES = (1.5, 2.0, 3.0)
SHORT_STRETCHES = (2.0, 4.0, 8.0)  # of a voice without nets, whose blocks are 5 ms


@dataclass(frozen=True)
class QualityStep:
    """How a voice runs."""

    quality: str
    f0_method: str
    stretch: float = 1.0
    """The voice's block is this many times longer."""

    def of(self, controls: Controls) -> Controls:
        """The user's controls, as far as this step follows them."""
        return replace(controls, quality=self.quality, f0_method=self.f0_method)

    def less_than(self, asked: QualityStep, block_ms: float) -> str:
        """What differs from what was asked, in words."""
        parts = [f"quality {self.quality}"] if self.quality != asked.quality else []
        parts += [f"tracker {self.f0_method}"] if self.f0_method != asked.f0_method else []
        parts += [f"blocks of {block_ms:.0f} ms"] if self.stretch != asked.stretch else []
        return ", ".join(parts)


def ladder(controls: Controls, f0: bool) -> tuple[QualityStep, ...]:
    """From what the user asked down to the cheapest; `f0`: the voice follows pitch."""
    lower = reversed(QUALITIES[: QUALITIES.index(controls.quality) + 1])
    steps = [QualityStep(quality, controls.f0_method) for quality in lower]
    row = TRACKERS.get(controls.f0_method)  # None for "auto", which is as light as the quality makes it
    for tracker in row.lighter if f0 and row is not None else ():
        steps.append(replace(steps[-1], f0_method=tracker))
    steps += [replace(steps[-1], stretch=stretch) for stretch in STRETCHES]
    return tuple(steps)


def short_ladder(controls: Controls) -> tuple[QualityStep, ...]:
    """Of a voice without nets: longer blocks, where the machine has no time for short ones."""
    asked = QualityStep(controls.quality, controls.f0_method)
    return (asked, *(replace(asked, stretch=stretch) for stretch in SHORT_STRETCHES))
