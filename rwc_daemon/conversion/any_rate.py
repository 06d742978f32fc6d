"""A stream at a rate that has no whole 10 ms hop (11025, 22050 Hz): converted at a multiple of it.

    x ─▶ Resampler ─▶ Stream at k times the rate ─▶ Resampler ─▶ y

Output sample n is input sample n − `delay`, exactly: what the resamplers and the stream hold back is filled up to a
whole number of samples.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.conversion.adjustable import open_stream
from rwc_daemon.dsp.resample import Resampler
from rwc_daemon.plan import Block, Plan, work_rate
from rwc_daemon.voices.base import Samples, Voice


class OddRateStream:
    """Any number of samples in, what is ready out; `block` samples of silence ahead answer every length at once."""

    def __init__(self, voice: Voice, rate: int, wanted: Block, controls: Controls, seed: int = 0) -> None:
        high = work_rate(rate)
        self._stream = open_stream(voice, Plan.offline(high, wanted), controls, seed)
        self._up, self._down = Resampler(rate, high), Resampler(high, rate)
        factor = high // rate
        held = self._up.delay + self._stream.delay
        self._fill = np.zeros(-held % factor, np.float32)  # makes the delay a whole number of samples
        self.delay = (held + len(self._fill)) // factor + self._down.delay
        self.block = self._stream.plan.block // factor + 2
        self._fed = self._given = 0

    @property
    def controls(self) -> Controls:
        return self._stream.controls

    @controls.setter
    def controls(self, controls: Controls) -> None:
        self._stream.controls = controls

    def feed(self, x: Samples) -> Samples:
        high = self._stream.feed(self._up.feed(np.asarray(x, np.float32)))
        fill, self._fill = self._fill, self._fill[:0]
        y = self._down.feed(np.concatenate([fill, high]))
        self._fed, self._given = self._fed + len(x), self._given + len(y)
        return y

    def flush(self) -> Samples:
        """The rest: after it, as many samples came out as went in, plus `delay`. The stream is then used up."""
        wanted = self._fed + self.delay - self._given
        return self.feed(np.zeros(self.delay + self.block, np.float32))[:wanted]
