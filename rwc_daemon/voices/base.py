"""What every voice is: weights that can open a session.

A voice holds weights only and may be shared; a session holds memory only, is made fresh by `open` and thrown away
whole. Every family of voices (rwc_daemon/families.py) is used through these two protocols, live and for files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.quality_ladder import QualityStep

if TYPE_CHECKING:
    from rwc_daemon.store.assets import Assets
    from rwc_daemon.store.card import VoiceCard

Samples = np.ndarray  # float32, mono, one dimension
Progress = Callable[[float], None]  # hears 0 … 1; may raise to stop


@dataclass(frozen=True)
class VoiceInfo:
    """What lists of voices show."""

    id: str
    """What `use` takes; also the folder's name for stored voices."""
    name: str
    """What people read."""
    kind: str
    """A key of `families.FAMILIES`."""
    rate: int = 0
    """samples/s the net renders at; 0: the host's."""
    f0: bool = True
    """Follows pitch."""
    version: str = ""
    """ "v1", "v2" or empty."""
    speakers: int = 1
    size: int = 0
    """Bytes on disk."""
    origin: str = "built in"
    """The file it came from."""
    embedder: str = ""
    """The content encoder it was trained with; empty: needs none."""
    index_vectors: int = 0
    """0: it has no index."""
    notes: tuple[str, ...] = ()
    """What its user should know, a sentence each."""


@dataclass(frozen=True)
class VoiceSource:
    """What a family's `load` is given."""

    info: VoiceInfo
    """The voice to load."""
    card: VoiceCard | None
    """Where its files lie in the user's library; None: the voice comes with the package."""
    assets: Assets
    """The support files on this machine."""
    device: str = "auto"
    """ "auto", "cpu" or "cuda"."""
    weight_bits: int = 16
    """8 lets a family keep large weights in half the memory, for speed."""


class Session(Protocol):
    """The memory of one conversion."""

    @property
    def delay(self) -> int:
        """Samples @host by which the output lags the input; constant for the life of the session."""

    def convert(self, x: Samples, controls: Controls, silent: bool = False) -> Samples:
        """Exactly `plan.block` samples in, as many out. `silent`: the gate found nothing to hear in this block's
        input, so a costly voice may skip work and answer zeros once what it held back has been played."""


@runtime_checkable
class Primed(Protocol):
    """A session that can take in past input without rendering it: wanted of costly voices, for switching."""

    def prime(self, x: Samples) -> None:
        """One block of input that came before the first `convert`, which then begins at full level."""

    def ending(self) -> Samples:
        """f32[n] @host: what it has rendered beyond what it gave, any n. The session is used up."""


class Voice(Protocol):
    """Loaded weights."""

    @property
    def info(self) -> VoiceInfo: ...

    @property
    def block(self) -> Block:
        """The live block this voice wants (a wish that `Plan.fit` makes exact)."""

    def ladder(self, controls: Controls) -> tuple[QualityStep, ...]:
        """How it runs as asked, and each cheaper way after it."""

    def open(self, plan: Plan, controls: Controls, seed: int = 0) -> Session:
        """A fresh session; `seed` fixes every random draw, so that one input gives the same bits each time."""

    def pitch_shift(self, controls: Controls) -> float | None:
        """Returns the semitones from the speaker's pitch to the one that the voice is asked to speak with, for the
        report; None: that does not follow from the speaker's pitch."""


@runtime_checkable
class Adjustable(Protocol):
    """A costly voice, whose sessions are made for one quality, tracker and speaker: where one of these changes, the
    engine opens another session and changes over to it. `convert` still gets them with every block, unchanged."""

    def block_for(self, controls: Controls) -> Block:
        """The live block at this quality and tracker."""


@runtime_checkable
class Offline(Protocol):
    """A voice with a pipeline of its own for whole sounds, better than its stream with large blocks."""

    def convert_whole(
        self, x: Samples, rate: int, controls: Controls, seed: int = 0, progress: Progress | None = None
    ) -> Samples:
        """f32[n] → f32[n] @rate, n > 0, of any level: gate, gains and limiter are the caller's."""


def block_of(voice: Voice, controls: Controls) -> Block:
    """The live block that a voice wants under these controls."""
    return voice.block_for(controls) if isinstance(voice, Adjustable) else voice.block
