"""Which stream plays, and how the next one takes over without a gap.

A cheap next stream hears the same input beside the playing one until its memory is filled, and then, where both think
in blocks of one size, they are crossfaded. A costly one, which can take in past input without rendering it, does so
between two blocks and takes over at once: two costly renderings of one block would come too late. Where there is no
overlap to crossfade, the last sound of the old stream, mirrored in time, fades under the first of the new one.
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
SEAM_S = 0.01  # the mirrored end of the old stream fades under the new one,
COLD_S = 0.1  # after it has bridged what the new one still holds back, up to this


class Deck:
    """One playing stream and at most one that is about to."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._history = np.zeros(int(HISTORY_S * stream.plan.rate), np.float32)
        self._next: Stream | None = None
        self._settled = 0  # samples the next stream has heard
        self._fade: tuple[np.ndarray, np.ndarray] | None = None
        self._drop = 0  # samples to come that the old stream has already played
        self._played = np.zeros(int((SEAM_S + COLD_S) * stream.plan.rate), np.float32)  # the newest
        self._seam = np.empty((2, 0), np.float32)  # what the old stream still adds, and the gain of the new one

    @property
    def switching(self) -> bool:
        return self._next is not None

    @property
    def missing(self) -> int:
        """Samples that the next call of `feed` wants."""
        return self.stream.missing

    def set_controls(self, controls: Controls) -> None:
        self.stream.take(controls)
        if self._next is not None:
            self._next.take(controls)

    def switch(self, stream: Stream) -> None:
        """Begin to change over to `stream` (same rate); a switch that was under way is dropped."""
        assert stream.plan.rate == self.stream.plan.rate
        self._next, self._settled, self._fade = stream, 0, None

    def feed(self, x: Samples) -> Samples:
        """`missing` samples in; out come as many new samples as the playing stream has ready."""
        self._history = np.concatenate([self._history[len(x) :], x])[-len(self._history) :]
        y = self.stream.feed(x)
        if self._drop:
            y, self._drop = y[self._drop :], 0
        y = self._seamed(y)
        if self._next is not None and not self._next.primes:
            y = self._shadow(self._next, x, y)
        self._played = np.concatenate([self._played, y])[-len(self._played) :]
        return y

    def settle(self) -> None:
        """Between two blocks, when what was converted is on its way: work that nobody waits for."""
        coming = self._next
        if coming is None or not coming.primes or self.stream.missing != self.stream.plan.block:
            return
        whole = len(self._history) // coming.plan.block * coming.plan.block
        coming.prime(self._history[len(self._history) - whole :])
        self._take_over(coming)

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
        self._played = np.concatenate([self._played, y])[-len(self._played) :]
        self._take_over(coming)
        return y

    def _take_over(self, coming: Stream) -> None:
        shadowed = self._settled > 0
        self.stream, self._next = coming, None
        fade = int(SEAM_S * coming.plan.rate)
        cold = 0 if shadowed else min(coming.cold, len(self._played) - fade)
        rising, falling = equal_power(fade)
        mirrored = self._played[::-1][: cold + fade]
        self._seam = np.array(
            [
                mirrored * np.concatenate([np.ones(cold, np.float32), falling]),
                np.concatenate([np.ones(cold, np.float32), rising]),
            ]
        )

    def _seamed(self, y: Samples) -> Samples:
        """The new stream rises over the mirrored end of the old one."""
        n = min(len(y), self._seam.shape[1])
        if not n:
            return y
        mirrored, rising = self._seam[:, :n]
        self._seam = self._seam[:, n:]
        return np.concatenate([y[:n] * rising + mirrored, y[n:]])

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
