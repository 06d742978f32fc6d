"""The memory of one conversion, from the microphone's samples to the voice's: live and for files the same.

    x ─▶ cut into blocks ─▶ InputChain ─▶ the voice's session ─▶ OutputChain ─▶ y

Every stage sees whole blocks only, counted from the stream's first sample; so where the caller cuts the input makes no
difference to a single bit. Output sample k is input sample k − `delay`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rwc_daemon.controls import FIXED, Controls
from rwc_daemon.conversion.chain import InputChain, OutputChain
from rwc_daemon.plan import Plan
from rwc_daemon.voices.base import Adjustable, Primed, Samples, Voice


class Stream:
    """One voice, one plan, one run. Made fresh, used by one thread, thrown away whole."""

    def __init__(self, voice: Voice, plan: Plan, controls: Controls, seed: int = 0, high_pass: bool = True) -> None:
        """`high_pass` False: the voice hears what lies below speech, too."""
        self.voice = voice
        self.plan = plan
        self.controls = controls
        adjustable = isinstance(voice, Adjustable)
        self._fixed = {name: getattr(controls, name) for name in FIXED} if adjustable else {}
        self.spoiled = 0  # blocks in which the voice gave NaN or infinity, and silence was played
        self.spoken = False  # the newest block held something to convert
        self._session = voice.open(plan, controls, seed)
        # two of such a voice cannot be rendered at once, but it takes in past input without rendering it; asked with
        # every block, and slow to find out
        self.costly = isinstance(self._session, Primed)
        self._before, self._behind = InputChain(plan.rate, high_pass), OutputChain(plan.rate)
        self._pending = np.empty(0, np.float32)

    @property
    def delay(self) -> int:
        """Samples by which the output lags the input."""
        return self._before.delay + self._session.delay + self._behind.delay

    def take(self, controls: Controls) -> None:
        """The user's controls from the next block on; what the session was made for stays."""
        self.controls = replace(controls, **self._fixed)

    def feed(self, x: Samples) -> Samples:
        """Any number of samples in; all whole blocks that are ready come out."""
        self._pending = np.concatenate([self._pending, np.asarray(x, np.float32)])
        size = self.plan.block
        ready = [self.convert(self._pending[n : n + size]) for n in range(0, len(self._pending) - size + 1, size)]
        self._pending = self._pending[size * len(ready) :]
        return np.concatenate(ready) if ready else np.empty(0, np.float32)

    def flush(self) -> Samples:
        """The rest: after it, as many samples came out as went in, plus `delay`. The stream is then used up."""
        wanted = len(self._pending) + self.delay
        size = self.plan.block
        padding = -(-wanted // size) * size - len(self._pending)
        return self.feed(np.zeros(padding, np.float32))[:wanted]

    def convert(self, x: Samples) -> Samples:
        """Exactly one block in, one out."""
        assert x.shape == (self.plan.block,), (x.shape, self.plan.block)
        heard, silent = self._before.feed(x, self.controls)
        self.spoken = not silent
        y = self._session.convert(heard, self.controls, silent)
        if not np.isfinite(y).all():
            self.spoiled += 1
            y = np.zeros_like(y)
        return self._behind.feed(y, self.controls)

    @property
    def missing(self) -> int:
        """Samples to feed until the next block is whole."""
        return self.plan.block - len(self._pending)

    @property
    def cold(self) -> int:
        """Samples of silence that it answers first after `prime`."""
        return self._behind.delay if self.costly else 0

    def prime(self, x: Samples) -> None:
        """Whole blocks of past input: context for what follows. Their conversion is not wanted."""
        size = self.plan.block
        assert len(x) % size == 0, (len(x), size)
        for n in range(0, len(x), size):
            if isinstance(self._session, Primed):
                self._session.prime(self._before.feed(x[n : n + size], self.controls)[0])
            else:
                self.convert(x[n : n + size])

    def ending(self) -> Samples:
        """What follows the last block as far as it is known, `delay` samples at most. The stream is then used up."""
        if not isinstance(self._session, Primed):
            return self.flush()
        known = np.nan_to_num(self._session.ending(), posinf=0.0, neginf=0.0)
        held = np.concatenate([known, np.zeros(self._behind.delay, np.float32)])
        return self._behind.feed(held, self.controls)
