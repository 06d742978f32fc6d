"""pm: Praat's autocorrelation pitch through parselmouth (the extra `praat`; GPL-3, so never a dependency).

Settings are those of RVC live (docs/rvc.md 6.2): the sound is padded by the 1.5 periods of the floor that the analysis
loses at both ends, so that its first frame falls on sample 0.
"""

from __future__ import annotations

import importlib
import math

import numpy as np

from rwc_daemon import extras
from rwc_daemon.plan import HOPS_PER_SECOND, RATE_16K
from rwc_daemon.voices.f0.base import HIGHEST_HZ, fitted, frame_count

VOICING_THRESHOLD = 0.6


class Praat:
    name = "pm"

    def __init__(self, floor_hz: float = 65.0) -> None:
        """`floor_hz`: nothing lower is found; frames last three of its periods."""
        self.floor_hz = floor_hz
        try:
            self.parselmouth = importlib.import_module("parselmouth")
        except ImportError as error:
            raise extras.missing("praat-parselmouth", "pm") from error

    def track(self, x_16k: np.ndarray) -> np.ndarray:
        """f32[N] → f32[N // 160 + 1]: Hz, 0 where unvoiced."""
        lost = math.ceil(1.5 / self.floor_hz * RATE_16K)
        sound = self.parselmouth.Sound(np.pad(x_16k.astype(np.float64), (lost, lost + 1)), RATE_16K)
        pitch = sound.to_pitch_ac(
            time_step=1 / HOPS_PER_SECOND,
            voicing_threshold=VOICING_THRESHOLD,
            pitch_floor=self.floor_hz,
            pitch_ceiling=HIGHEST_HZ,
        )
        return fitted(pitch.selected_array["frequency"], frame_count(len(x_16k)))
