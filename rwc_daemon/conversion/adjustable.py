"""A stream whose tracker and speaker can be changed while it runs, though a session is made for one of each.

A change opens another session on the same weights and crossfades to it between two blocks (see `voice_switcher`).
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.conversion.stream import FIXED, Stream
from rwc_daemon.conversion.voice_switcher import VoiceSwitcher
from rwc_daemon.errors import Unsupported
from rwc_daemon.plan import Plan
from rwc_daemon.voices.base import Adjustable, Samples, Voice


class AdjustableStream:
    """Offers what `Stream` offers to a caller that feeds any number of samples. Used by one thread."""

    def __init__(self, voice: Voice, plan: Plan, controls: Controls, seed: int = 0) -> None:
        self.plan, self._voice, self._seed = plan, voice, seed
        self._switcher = VoiceSwitcher(Stream(voice, plan, controls, seed))
        self._controls = controls
        self.delay = self._switcher.stream.delay
        self._pending = np.empty(0, np.float32)

    @property
    def controls(self) -> Controls:
        return self._controls

    @controls.setter
    def controls(self, controls: Controls) -> None:
        """Takes effect with the next block. Raises Unsupported for another quality, and what opening a session raises
        (a tracker that is not on this machine, a speaker that the voice has not); then nothing has changed."""
        before, now = ([getattr(one, name) for name in FIXED] for one in (self._controls, controls))
        if controls.quality != self._controls.quality:
            raise Unsupported("quality decides the latency: set it before the conversion begins")
        if before != now:
            self._switcher.switch(Stream(self._voice, self.plan, controls, self._seed))
        for stream in self._switcher.streams:
            stream.take(controls)
        self._controls = controls

    def feed(self, x: Samples) -> Samples:
        """Any number of samples in; all whole blocks that are ready come out."""
        self._pending = np.concatenate([self._pending, np.asarray(x, np.float32)])
        size = self.plan.block
        whole = len(self._pending) // size * size
        ready = [self._switcher.feed(self._pending[n : n + size]) for n in range(0, whole, size)]
        self._pending = self._pending[whole:]
        return np.concatenate(ready) if ready else np.empty(0, np.float32)

    def flush(self) -> Samples:
        """Returns the rest: after it, as many samples came out as went in, plus `delay`. The stream is then used up."""
        wanted = len(self._pending) + self.delay
        size = self.plan.block
        padding = -(-wanted // size) * size - len(self._pending)
        return self.feed(np.zeros(padding, np.float32))[:wanted]


def open_stream(voice: Voice, plan: Plan, controls: Controls, seed: int = 0) -> Stream | AdjustableStream:
    """Returns a stream whose controls can all be changed while it runs, as far as the voice allows."""
    kind = AdjustableStream if isinstance(voice, Adjustable) else Stream
    return kind(voice, plan, controls, seed)
