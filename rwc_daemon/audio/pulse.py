"""A short visit to the PulseAudio server (pipewire-pulse, or the real one)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pulsectl

ANSWER_S = 2.0  # a server whose session manager hangs takes the call and never answers it


@contextmanager
def visit(name: str) -> Iterator[pulsectl.Pulse]:
    """Never starts a server. Raises pulsectl.PulseError where none answers in time, or refuses."""
    with pulsectl.Pulse(name, connect=False) as pulse:
        pulse.connect(timeout=ANSWER_S)
        yield pulse
