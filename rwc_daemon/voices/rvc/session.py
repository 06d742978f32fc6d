"""The memory of one live RVC conversion: block in, block out, always `delay` samples late.

    x ─▶ window @host ─▶ window @16k ─▶ step ─▶ to the host's rate ─▶ loudness ─▶ SOLA ─▶ y

Renderings agree by themselves here (noise and phase are owned, not redrawn), so the splice searches for nothing and the
delay is the crossfade alone. The reference's own loop, the yardstick of tests, is testkit/yardstick.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.dsp.resample import resample
from rwc_daemon.plan import HOP_16K, RATE_16K
from rwc_daemon.voices.base import Samples
from rwc_daemon.voices.f0.base import Tracker
from rwc_daemon.voices.rvc.live import LiveStep
from rwc_daemon.voices.rvc.sola import Geometry, Sola, follow_envelope

EDGE_HOPS = 2  # heard again with every block, so that the resampler's edges are overwritten


class RvcSession:
    """One stream's memory (see `voices.base.Session`)."""

    def __init__(self, geometry: Geometry, voice_rate: int, step: LiveStep, tracker: Tracker | None) -> None:
        """`tracker`: None for a voice without f0."""
        self._g, self._voice_rate, self._step, self._tracker = geometry, voice_rate, step, tracker
        self._heard = np.zeros(geometry.window, np.float32)
        self._heard_16k = np.zeros(geometry.window_16k, np.float32)
        self.sola = Sola(geometry)
        self._quiet = 0  # samples of silence up to the newest

    @property
    def delay(self) -> int:
        return self._g.delay

    def prime(self, x: Samples) -> None:
        """One block of past input: heard, not rendered."""
        self._hear(x)
        self._step.rest()
        self._step.forget_pitch()
        self.sola.tail = None

    def ending(self) -> Samples:
        """f32[fade] @host: what the newest rendering says of the next moment."""
        tail = self.sola.tail
        return np.zeros(0, np.float32) if tail is None else tail

    def convert(self, x: Samples, controls: Controls, silent: bool = False) -> Samples:
        """f32[block] → f32[block] @host."""
        g = self._g
        self._hear(x)
        self._quiet = self._quiet + g.block if silent else 0
        if self._quiet >= g.block + g.delay:  # all that this block could play is silence
            self._step.rest()
            return self.sola.feed(np.zeros(g.rendered * g.hop, np.float32))
        y = resample(self._step.run(self._heard_16k, self._tracker, controls), self._voice_rate, g.rate)
        y = follow_envelope(y, self._heard[g.context :], g.hop, controls.envelope)
        return self.sola.feed(y)

    def _hear(self, x: Samples) -> None:
        """Both windows move on by one block. The newest edge @16k is provisional: the next block overwrites it."""
        g = self._g
        self._heard = np.concatenate([self._heard[g.block :], x])
        newest = resample(self._heard[-(g.block + EDGE_HOPS * g.hop) :], g.rate, RATE_16K)[HOP_16K:]
        self._heard_16k = np.concatenate([self._heard_16k[g.block_16k :], np.zeros(g.block_16k, np.float32)])
        self._heard_16k[-len(newest) :] = newest
