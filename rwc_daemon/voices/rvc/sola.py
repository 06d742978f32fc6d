"""How renderings of neighbouring windows become one sound: sizes, loudness, and the splice.

Each block renders a little more than it emits. The surplus is kept as a tail; the next rendering covers the same moment
again, is shifted to where it fits the tail best (within `search`, none where the renderings agree by themselves), and
takes over in a fade. Source: docs/rvc.md sections 8.1, 8.6 and 8.7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rwc_daemon.plan import HOP_16K, hop_at

LONGEST_FADE_HOPS = 4
QUIETEST = 1e-3  # of a rendering, in the envelope's quotient


@dataclass(frozen=True)
class Geometry:
    """Sizes of a live conversion, in samples @host and all whole hops.

    The window is context | block | crossfade + search. What is rendered starts where the block does.
    """

    rate: int
    block: int
    context: int
    crossfade: int
    search: int
    longest_fade: int = LONGEST_FADE_HOPS
    """Hops."""

    @property
    def hop(self) -> int:
        return hop_at(self.rate)

    @property
    def fade(self) -> int:
        """Samples of the crossfade itself; what `crossfade` has beyond it is look-ahead."""
        return min(self.crossfade, self.longest_fade * self.hop)

    @property
    def delay(self) -> int:
        return self.crossfade + self.search

    @property
    def window(self) -> int:
        return self.context + self.block + self.delay

    @property
    def frames(self) -> int:
        return self.window // self.hop

    @property
    def skip(self) -> int:
        """Frames before the first rendered one."""
        return self.context // self.hop

    @property
    def rendered(self) -> int:
        """Frames rendered per block."""
        return (self.block + self.fade + self.search) // self.hop

    @property
    def block_frames(self) -> int:
        return self.block // self.hop

    @property
    def block_16k(self) -> int:
        return self.block_frames * HOP_16K

    @property
    def window_16k(self) -> int:
        return self.frames * HOP_16K


def whole_hops(seconds: float, rate: int) -> int:
    """The nearest whole number of hops, in samples; halves to the even neighbour."""
    return round(seconds * rate / hop_at(rate)) * hop_at(rate)


def fade_in(n: int) -> np.ndarray:
    """f32[n]: sin² from 0 to 1, both ends included."""
    return np.sin(0.5 * np.pi * np.arange(n, dtype=np.float32) / max(n - 1, 1)).astype(np.float32) ** 2


def best_offset(y: np.ndarray, tail: np.ndarray, search: int) -> int:
    """The shift 0 … search at which the head of `y` correlates best with `tail`, normalised by the head's energy."""
    if not search:
        return 0
    n = len(tail)
    heads = np.lib.stride_tricks.sliding_window_view(y[: n + search].astype(np.float64), n)
    match = heads @ tail.astype(np.float64)
    energy = np.square(heads).sum(axis=1)
    return int(np.argmax(match / np.sqrt(energy + 1e-8)))


class Sola:
    """Renderings in, one continuous sound out."""

    def __init__(self, geometry: Geometry) -> None:
        self._g = geometry
        self._rise = fade_in(geometry.fade)
        self.tail: np.ndarray | None = np.zeros(geometry.fade, np.float32)  # None: nothing to take over from
        self.offset = 0  # of the newest rendering

    def feed(self, y: np.ndarray) -> np.ndarray:
        """f32[rendered] → f32[block]."""
        g, n = self._g, self._g.fade
        if self.tail is None:
            y = y.copy()
        else:
            self.offset = best_offset(y, self.tail, g.search)
            y = y[self.offset :].copy()
            y[:n] = y[:n] * self._rise + self.tail * (1 - self._rise)
        self.tail = y[g.block : g.block + n].copy()
        return y[: g.block]


def frame_levels(x: np.ndarray, length: int, hop: int) -> np.ndarray:
    """Root mean square of frames of `length`, centred on 0, hop, 2*hop …; silence surrounds the sound. f32."""
    half = length // 2
    padded = np.pad(x.astype(np.float64), half)
    sums = np.concatenate([[0.0], np.cumsum(np.square(padded))])
    starts = np.arange(0, len(padded) - length + 1, hop)
    return np.sqrt(np.maximum(sums[starts + length] - sums[starts], 0) / length).astype(np.float32)


def follow_envelope(y: np.ndarray, heard: np.ndarray, hop: int, share: float) -> np.ndarray:
    """`y` with the loudness of `heard` (same length and moment), to the given share 0 … 1 of the way."""
    if share == 0:
        return y
    wanted, own = (_stretched(frame_levels(one, 4 * hop, hop), len(y)) for one in (heard[: len(y)], y))
    return (y * (wanted / np.maximum(own, QUIETEST)) ** share).astype(np.float32)


def _stretched(levels: np.ndarray, n: int) -> np.ndarray:
    """n values: the levels laid over n + 1 points, corner on corner, without the last."""
    return np.interp(np.arange(n) * ((len(levels) - 1) / n), np.arange(len(levels)), levels)
