"""Which stream plays, and how the next one takes over without a gap.

Two cheap streams with blocks of one size render the same input side by side, until the next one's memory is filled, and
are then crossfaded. All others take over between two blocks, at once: the next stream takes in the past input (a
cheap one by converting the end of it), and what the old one still holds back fades under the first sound of the new.
Where that is too short it goes on mirrored in time.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.conversion.stream import Stream
from rwc_daemon.dsp.fade import equal_gain, equal_power
from rwc_daemon.dsp.recent import Recent
from rwc_daemon.voices.base import Samples

HISTORY_S = 3.0  # past input kept as context for a voice that comes
SETTLE_S = 0.15  # of past input fills a cheap stream's memory
CROSSFADE_S = 0.04  # between streams that render the same input
END_FADE_S = 0.01  # between the end of the old stream and the first sound of the new
PLAYED_S = 0.05  # kept, to be mirrored


class VoiceSwitcher:
    """One playing stream and at most one that is about to."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._history = Recent(int(HISTORY_S * stream.plan.rate))
        self._next: Stream | None = None
        self._settled = 0  # samples the next stream has heard beside the playing one
        self._fade: tuple[np.ndarray, np.ndarray] | None = None
        self._played = Recent(int(PLAYED_S * stream.plan.rate))
        self._crossfade = np.empty((2, 0), np.float32)  # what the old stream still adds, and the gain of the new one

    @property
    def switching(self) -> bool:
        return self._next is not None

    @property
    def block(self) -> int:
        """Samples that the next call of `feed` wants."""
        return self.stream.plan.block

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The playing one, and the one that is about to."""
        return (self.stream,) if self._next is None else (self.stream, self._next)

    def switch(self, stream: Stream) -> None:
        """Begin to change over to `stream` (same rate); a switch that was under way is dropped. Called between two
        blocks."""
        assert stream.plan.rate == self.stream.plan.rate
        self._next, self._settled, self._fade = stream, 0, None
        if not self._in_parallel(stream):
            self._prime(stream)
            self._take_over(stream)

    def feed(self, x: Samples) -> Samples:
        """f32[block] → f32[block]."""
        self._history.write(x)
        y = self._crossfaded(self.stream.convert(x))
        if self._next is not None:
            y = self._render_both(self._next, x, y)
        self._played.write(y)
        return y

    def skip(self, x: Samples) -> None:
        """A block whose conversion came too late to be wanted: heard as context, never played."""
        self._history.write(x)
        self.stream.prime(x)
        if self._next is not None:
            self._next.prime(x)
            self._settled += len(x)

    # ---- side by side ----

    def _in_parallel(self, coming: Stream) -> bool:
        return not coming.costly and not self.stream.costly and coming.plan.block == self.stream.plan.block

    def _render_both(self, coming: Stream, x: Samples, y: Samples) -> Samples:
        heard = coming.convert(x)
        ready = self._settled >= int(SETTLE_S * coming.plan.rate)
        self._settled += len(x)
        return self._mix(y, heard, coming) if ready else y

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

    # ---- between two blocks ----

    def _prime(self, coming: Stream) -> None:
        block, rate = coming.plan.block, coming.plan.rate
        past = len(self._history) if coming.costly else min(len(self._history), max(block, int(SETTLE_S * rate)))
        whole = past // block * block
        coming.prime(self._history.newest(whole))

    def _take_over(self, coming: Stream) -> None:
        old, self.stream, self._next = self.stream, coming, None
        cold, fade = coming.cold, int(END_FADE_S * coming.plan.rate)
        alike = old.voice is coming.voice and old.delay == coming.delay  # the same sound twice
        rising, falling = (equal_gain if alike else equal_power)(fade)
        bridge = np.ones(cold, np.float32)
        follows = self._follows(old, cold + fade) * np.concatenate([bridge, falling])
        self._crossfade = np.array([follows, np.concatenate([0 * bridge, rising])])

    def _follows(self, old: Stream, n: int) -> Samples:
        """What the old stream would play next: as far as it knows, then mirrored."""
        known = self._crossfaded(old.ending())[:n]
        joined = np.concatenate([self._played.newest(len(self._played)), known])
        return np.concatenate([known, joined[::-1][: n - len(known)]])

    def _crossfaded(self, y: Samples) -> Samples:
        """The new stream rises over the end of the old one."""
        n = min(len(y), self._crossfade.shape[1])
        if not n:
            return y
        falling, rising = self._crossfade[:, :n]
        self._crossfade = self._crossfade[:, n:]
        return np.concatenate([y[:n] * rising + falling, y[n:]])
