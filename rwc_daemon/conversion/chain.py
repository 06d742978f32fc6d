"""What every voice is framed by, live and for files: the stages before it and the stages behind it.

x ─▶ high-pass ─▶ input gain ─▶ gate ─▶ VOICE ─▶ output gain ─▶ limiter ─▶ y
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.dsp.gain import Gain
from rwc_daemon.dsp.gate import Gate
from rwc_daemon.dsp.high_pass import HighPass
from rwc_daemon.dsp.limiter import Limiter
from rwc_daemon.voices.base import Samples


class InputChain:
    """High-pass, input gain, gate."""

    def __init__(self, rate: int, high_pass: bool = True) -> None:
        """`high_pass` False: the voice takes away what lies below speech itself."""
        self._high_pass = HighPass(rate) if high_pass else None
        self._gain, self._gate = Gain(rate), Gate(rate)

    @property
    def delay(self) -> int:
        """Samples; the high-pass holds none back (0.3 ms at 200 Hz)."""
        return self._gate.delay

    def feed(self, x: Samples, controls: Controls) -> tuple[Samples, bool]:
        """f32[n] → f32[n], and whether the gate found nothing to convert in it. NaN and infinity count as 0."""
        if self._high_pass is not None:
            x = self._high_pass.feed(x)
        return self._gate.feed(self._gain.feed(x, controls.input_gain_db), controls.gate_db)

    def whole(self, x: Samples, controls: Controls) -> Samples:
        """A whole sound, on time: f32[n] → f32[n]."""
        y, _ = self.feed(np.pad(x, (0, self.delay)), controls)
        return y[self.delay :]


class OutputChain:
    """Output gain, limiter."""

    def __init__(self, rate: int) -> None:
        self._gain, self._limiter = Gain(rate), Limiter(rate)

    @property
    def delay(self) -> int:
        """Samples."""
        return self._limiter.delay

    def feed(self, y: Samples, controls: Controls) -> Samples:
        """f32[n] → f32[n], below full scale."""
        return self._limiter.feed(self._gain.feed(y, controls.louder_db))

    def whole(self, y: Samples, controls: Controls) -> Samples:
        """A whole sound, on time: f32[n] → f32[n]."""
        return self.feed(np.pad(y, (0, self.delay)), controls)[self.delay :]
