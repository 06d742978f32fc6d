"""What decoders hand on: the facts of a sound, its pieces, and sentences about what was wrong with the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

TAGS = ("title", "artist", "album", "date", "tracknumber", "genre", "comment", "copyright", "license")
CUT = "it ends early, as if it had been cut off: what is there was read"
DAMAGED = "it is damaged: what could be decoded was read"
STREAMED = "its recorder never wrote how long it is: all that is there was read"

Note = Callable[[str], None]  # hears a sentence without its beginning, "a.mp3: …"


@dataclass(frozen=True)
class Facts:
    """What is known before the first piece."""

    rate: int
    """samples/s."""
    channels: int
    subtype: str = "PCM_16"
    """libsndfile's name of the sample format."""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """Some of the sound."""

    rate: int
    """samples/s."""
    x: np.ndarray
    """f32[n, channels]."""
