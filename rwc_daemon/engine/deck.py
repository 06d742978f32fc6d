"""Which stream plays, and how the next one takes over without a gap.

The next stream hears the same input beside the playing one until its memory is filled, and then, where both think in
blocks of one size, they are crossfaded. Where the sizes differ the new one takes over at the first sample that the old
one has not converted; the callback moves to the new latency with a fade of its own.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.dsp.fade import equal_power
from rwc_daemon.engine.stream import Stream
from rwc_daemon.voices.base import Samples

HISTORY_S = 3.0  # past input kept as context for a voice that comes
SETTLE_S = 0.15  # heard beside the playing stream by a voice that cannot be primed
CROSSFADE_S = 0.04


class Deck:
    """One playing stream and at most one that is about to."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._history = np.zeros(int(HISTORY_S * stream.plan.rate), np.float32)
        self._next: Stream | None = None
        self._settled = 0  # samples the next stream has heard
        self._fade: tuple[np.ndarray, np.ndarray] | None = None
        self._drop = 0  # samples to come that the old stream has already played

    @property
    def switching(self) -> bool:
        return self._next is not None

    @property
    def missing(self) -> int:
        """Samples that the next call of `feed` wants."""
        return self.stream.missing

    def set_controls(self, controls: Controls) -> None:
        self.stream.controls = controls
        if self._next is not None:
            self._next.controls = controls

    def switch(self, stream: Stream) -> None:
        """Begin to change over to `stream` (same rate); a switch that was under way is dropped."""
        assert stream.plan.rate == self.stream.plan.rate
        self._next, self._settled, self._fade = stream, 0, None
        if stream.primes:
            whole = len(self._history) // stream.plan.block * stream.plan.block
            stream.prime(self._history[len(self._history) - whole :])
            self._settled = int(SETTLE_S * stream.plan.rate)

    def feed(self, x: Samples) -> Samples:
        """`missing` samples in; out come as many new samples as the playing stream has ready."""
        self._history = np.concatenate([self._history[len(x) :], x])[-len(self._history) :]
        y = self.stream.feed(x)
        if self._next is not None:
            return self._shadow(self._next, x, y)
        if self._drop:
            y, self._drop = y[self._drop :], 0
        return y

    def skip(self, x: Samples) -> None:
        """Input whose conversion came too late to be wanted: heard as context, never played."""
        self._history = np.concatenate([self._history[len(x) :], x])[-len(self._history) :]
        if self.stream.missing == self.stream.plan.block:
            self.stream.prime(x)
            return
        self.stream.feed(x)
        self._drop = 0

    def _shadow(self, coming: Stream, x: Samples, y: Samples) -> Samples:
        ready = self._settled >= int(SETTLE_S * coming.plan.rate)
        heard = coming.feed(x)
        self._settled += len(x)
        if not ready:
            return y
        if coming.plan.block == self.stream.plan.block:
            return self._mix(y, heard, coming)
        self._drop = coming.plan.block - coming.missing  # heard already, and played by the old one
        self.stream, self._next = coming, None
        return y

    def _mix(self, old: Samples, new: Samples, coming: Stream) -> Samples:
        """Equal power from the old to the new over CROSSFADE_S, in whole blocks."""
        size = coming.plan.block
        if self._fade is None:
            self._fade = equal_power(size * -(-int(CROSSFADE_S * coming.plan.rate) // size))
        rising, falling = self._fade
        y = old * falling[: len(old)] + new * rising[: len(new)]
        self._fade = rising[len(new) :], falling[len(old) :]
        if not len(self._fade[0]):
            self.stream, self._next, self._fade = coming, None, None
        return y.astype(np.float32)
