"""What the inference thread, the daemon and the loader say to each other about voices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rwc_daemon.controls import Controls
from rwc_daemon.engine.deadline import Step, ladder, short_ladder
from rwc_daemon.engine.stream import FIXED
from rwc_daemon.plan import Block
from rwc_daemon.voices.base import Adjustable, Voice, block_of


@dataclass(frozen=True)
class Setup:
    """What the next stream will meet."""

    controls: Controls
    rate: int = 48000
    quantum: int = 128


@dataclass(frozen=True)
class Wish:
    """A voice, as the user's controls ask for it or, with a level, as the deadline controller does."""

    voice: str
    # id or name
    controls: Controls | None = None
    # the user's; None: those of the setup
    level: int | None = None
    # of the ladder
    only_warm: bool = False
    # for a step that may be needed soon

    @property
    def again(self) -> bool:
        """About the voice that plays."""
        return self.level is not None or self.controls is not None

    @property
    def rank(self) -> int:
        """The user's comes first, then what must be eased, then what may have to be."""
        return (self.level is not None) + self.only_warm


@dataclass(frozen=True)
class Loaded:
    """A voice that is ready to play."""

    voice: Voice
    steps: tuple[Step, ...]
    # its ladder; one step for a voice that has none
    level: int
    compute_ms: float
    # processor time of a warm block on one thread
    asked: Controls
    # the user's, with which the ladder begins
    load_ms: float = 0.0
    eased: bool = False
    # True: the same voice as before, at another level
    threads: int = 1
    # that it was warmed for; one always

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
        """Processor time over audio time."""
        return self.compute_ms / self.block.ms


@dataclass(frozen=True)
class Warmed:
    """A step that can be taken at once; nobody is asked to play it."""

    loaded: Loaded


@dataclass(frozen=True)
class Failed:
    voice: str
    code: str
    message: str
    level: int | None = None
    # see Wish


def fixed(controls: Controls) -> tuple[Any, ...]:
    """What a session is made for."""
    return tuple(getattr(controls, name) for name in FIXED)


def steps_of(voice: Voice, asked: Controls) -> tuple[Step, ...]:
    """Of its ladder; one that is not adjustable can only have longer blocks."""
    return ladder(asked, voice.info.f0) if isinstance(voice, Adjustable) else short_ladder(asked)
