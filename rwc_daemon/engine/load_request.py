"""What the inference thread, the daemon and the loader say to each other about voices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from rwc_daemon.controls import FIXED, Controls, changed
from rwc_daemon.plan import Block
from rwc_daemon.voices.base import Voice, block_of
from rwc_daemon.voices.quality_ladder import QualityStep


@dataclass(frozen=True)
class StreamConfig:
    """What the next stream will meet: the graph, and the user's controls for each voice."""

    controls: Controls
    """Of every voice that has none of its own."""
    rate: int = 48000
    """Samples per second."""
    quantum: int = 128
    """Samples per cycle of the graph."""
    own: Mapping[str, Controls] = field(default_factory=dict)
    """By the voice's id: a voice that is being loaded has its own while the playing one keeps those it has."""

    def of(self, voice: str) -> Controls:
        """The user's controls for the voice of this id."""
        return self.own.get(voice, self.controls)

    def with_controls(self, wanted: Mapping[str, Any], voice: str = "") -> Self:
        """The same with other controls for one voice, or for every voice where `voice` is empty."""
        controls = changed(Controls(), wanted)
        if not voice:
            return replace(self, controls=controls, own={})
        return replace(self, own={**self.own, voice: controls})


@dataclass(frozen=True)
class LoadRequest:
    """A voice, as the user's controls ask for it or, with a level, as the overload controller does."""

    voice: str
    """Id or name."""
    controls: Controls | None = None
    """The user's; None: those of the `StreamConfig`."""
    level: int | None = None
    """Of the ladder."""
    prewarm_only: bool = False
    """For a step that may be needed soon."""
    number: int = 0
    """Of the LoadVoice that waits for an answer; 0: none."""

    @property
    def again(self) -> bool:
        """About the voice that plays."""
        return self.level is not None or self.controls is not None

    @property
    def rank(self) -> int:
        """The user's comes first, then what must be reduced, then what may have to be."""
        return (self.level is not None) + self.prewarm_only


@dataclass(frozen=True)
class LoadedVoice:
    """A voice that is ready to play."""

    voice: Voice
    steps: tuple[QualityStep, ...]
    """Its ladder; one step for a voice that has none."""
    level: int
    compute_ms: float
    """CPU time of a warm block on one thread."""
    asked: Controls
    """The user's, with which the ladder begins."""
    load_ms: float = 0.0
    reduced: bool = False
    """True: the same voice as before, at another level."""
    threads: int = 1
    """That it was warmed for; one always."""
    unmet: LoadFailed | None = None
    """What the user asked of it and this machine cannot give (a tracker that is not here); it plays without."""
    number: int = 0
    """See LoadRequest."""

    @property
    def controls(self) -> Controls:
        """As warmed: the user's, but for what the step takes away."""
        return self.steps[self.level].of(self.asked)

    @property
    def block(self) -> Block:
        wanted = block_of(self.voice, self.controls)
        return Block(wanted.ms * self.steps[self.level].stretch, wanted.on_hop)

    @property
    def cost(self) -> float:
        """CPU time over audio time."""
        return self.compute_ms / self.block.ms


@dataclass(frozen=True)
class PrewarmedStep:
    """A step that can be taken at once; nobody is asked to play it."""

    loaded: LoadedVoice


@dataclass(frozen=True)
class LoadFailed:
    voice: str
    code: str
    message: str
    level: int | None = None
    """See LoadRequest."""
    number: int = 0


def fixed_controls(controls: Controls) -> tuple[Any, ...]:
    """What a session is made for."""
    return tuple(getattr(controls, name) for name in FIXED)


def steps_of(voice: Voice, asked: Controls) -> tuple[QualityStep, ...]:
    """Of its ladder; one that is not adjustable can only have longer blocks."""
    return voice.ladder(asked)
