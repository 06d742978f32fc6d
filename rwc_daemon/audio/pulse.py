"""A short visit to the PulseAudio server (pipewire-pulse, or the real one)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pulsectl

# A server whose session manager hangs takes the call and never answers it, so there is an end to waiting. pulsectl
# waits the whole of a timeout even where the server answers at once: so the first tries are short.
TRIES_S = (0.02, 0.1, 0.4, 1.5)


@contextmanager
def visit(name: str) -> Iterator[pulsectl.Pulse]:
    """Never starts a server. Raises pulsectl.PulseError where none answers in time, or refuses."""
    with pulsectl.Pulse(name, connect=False) as pulse:
        _connect(pulse)
        yield pulse


def _connect(pulse: pulsectl.Pulse) -> None:
    for timeout_s in TRIES_S[:-1]:
        try:
            return pulse.connect(timeout=timeout_s)
        except pulsectl.PulseError:
            continue
    pulse.connect(timeout=TRIES_S[-1])
