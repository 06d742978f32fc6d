"""From one rate to another: polyphase windowed sinc, as the reference of RVC voices does it.

The kernel is a sinc under a Hann window six zero crossings wide, cut off at 0.99 of the lower Nyquist frequency
(torchaudio's default). Output sample m lies at input position m·o/n, where o:n is the ratio in lowest terms, and is

    y[m] = Σ_i x[i] h(i - m·o/n),   h(t) = b·sinc(b·t)·cos²(π·b·t / 12) for |b·t| < 6,   b = 0.99·min(o, n) / o

so only n different phases of h exist. `resample` is the stream fed at once: no second path.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

ZERO_CROSSINGS = 6
ROLLOFF = 0.99
ROWS = 16384  # output samples computed at once: bounds the memory of long files


@lru_cache(16)  # one stream has a few, and a live voice asks with every block
def _kernels(o: int, n: int) -> tuple[np.ndarray, int]:
    """(f64[n phases, taps], first): the taps of phase j stand on inputs floor(j·o/n) + first, + first + 1, …"""
    cutoff = ROLLOFF * min(o, n) / o
    reach = math.floor(ZERO_CROSSINGS / cutoff)
    offsets = np.arange(-reach, reach + 2)
    fraction = (np.arange(n) * o % n) / n
    t = np.clip((offsets - fraction[:, None]) * cutoff, -ZERO_CROSSINGS, ZERO_CROSSINGS)
    bank = cutoff * np.sinc(t) * np.cos(np.pi * t / (2 * ZERO_CROSSINGS)) ** 2
    bank.setflags(write=False)
    return bank, -reach


class Resampler:
    """Streaming: after N input samples in all, floor(N·rate_out/rate_in) have come out, `delay` of them early zeros.

    `delay` is exact, in samples @rate_out: output p is the resampled signal at position p - delay. Equal rates pass
    through with no delay.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        assert min(rate_in, rate_out) > 0, (rate_in, rate_out)
        shared = math.gcd(rate_in, rate_out)
        self._o, self._n = rate_in // shared, rate_out // shared
        self._same = self._o == self._n
        self._bank, self._first = _kernels(self._o, self._n)
        taps = self._bank.shape[1]
        ahead = taps + self._first  # input samples needed from floor(position) on
        self.delay = 0 if self._same else max(0, math.ceil(ahead * self._n / self._o - 1))
        # the very first outputs lie before the signal: start the history where the first of them reaches
        self._start = -self.delay * self._o // self._n + self._first
        self._held = np.zeros(-self._start, np.float32)
        self._seen = 0  # input samples fed
        self._made = 0  # output samples emitted

    def feed(self, x: np.ndarray) -> np.ndarray:
        """f32[any] @rate_in → f32[…] @rate_out."""
        if self._same:
            return np.asarray(x, np.float32)
        held = np.concatenate((self._held, x), dtype=np.float32)
        self._seen += len(x)
        end = self._seen * self._n // self._o
        parts = [self._render(held, m, min(m + ROWS, end)) for m in range(self._made, end, ROWS)]
        self._made = end
        # what the next output needs stays; a strong decimation may need less than what is here
        keep_from = (end - self.delay) * self._o // self._n + self._first
        self._held = held[min(keep_from - self._start, len(held)) :]
        self._start += len(held) - len(self._held)
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _render(self, held: np.ndarray, begin: int, end: int) -> np.ndarray:
        # each row is summed by itself, in the order of its taps: its bits do not know the rows beside it
        m = np.arange(begin - self.delay, end - self.delay)
        at = m * self._o // self._n + (self._first - self._start)
        windows = np.lib.stride_tricks.sliding_window_view(held, self._bank.shape[1])
        return (windows[at] * self._bank[m % self._n]).sum(axis=1).astype(np.float32)


def resample(x: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """f32[N] → f32[ceil(N·rate_out/rate_in)], in time with the input; silence is taken to surround it."""
    stream = Resampler(rate_in, rate_out)
    length = -(-len(x) * rate_out // rate_in)
    tail = -(-(stream.delay + 1) * rate_in // rate_out) + 1
    y = stream.feed(np.concatenate((np.asarray(x, np.float32), np.zeros(tail, np.float32))))
    return y[stream.delay : stream.delay + length]
