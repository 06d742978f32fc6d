"""Makes sound louder or softer, without a step when the control changes."""

from __future__ import annotations

import numpy as np

from rwc_daemon.dsp.glide import Glide

GLIDE_MS = 15


class Gain:
    """Amplification by dB that follows its control within 15 ms. 0 dB passes the samples as they are."""

    delay = 0

    def __init__(self, rate: int) -> None:
        self._db = Glide(rate * GLIDE_MS // 1000)

    def feed(self, x: np.ndarray, db: float) -> np.ndarray:
        """f32[n] → f32[n]."""
        self._db.aim(db)
        if not self._db.still:
            return (x * np.power(10, self._db.take(len(x)) / 20)).astype(np.float32)
        return x if db == 0 else x * np.float32(10 ** (db / 20))
