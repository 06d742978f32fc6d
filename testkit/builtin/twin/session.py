"""The memory of one conversion by a built-in voice.

Everything happens at absolute sample numbers: the tracker steps every 2.5 ms of input, a grain is chosen when its turn
comes. A block only says how far time has come, so its size changes no bit of the output.
"""

from __future__ import annotations

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.dsp.drift import Drift
from rwc_daemon.dsp.finite import finite
from rwc_daemon.dsp.glide import Glide
from rwc_daemon.dsp.history import History
from rwc_daemon.plan import Plan
from rwc_daemon.voices.builtin.presets import Preset
from rwc_daemon.voices.builtin.track import LOWEST_HZ, PitchTrack
from testkit.builtin.twin.grains import Grains, Shift
from testkit.builtin.twin.marks import Marks
from testkit.builtin.twin.speaker import Speaker

DELAY_MS = 12.0
HELD_MS = 250.0  # of input: the oldest mark of the lowest voice, and a period around it
GLIDE_MS = 20.0  # a control turned is reached after this
PITCH_LIMIT, FORMANT_LIMIT = 36.0, 18.0  # semitones, preset and control together


class PitchSession:
    """A voice made of the grains of yours."""

    def __init__(self, preset: Preset, plan: Plan, controls: Controls, seed: int) -> None:
        self.delay = round(DELAY_MS * plan.rate / 1000)
        self._preset = preset
        longest = round(plan.rate / LOWEST_HZ)
        self._x = History(plan.block + round(HELD_MS * plan.rate / 1000))
        self._track = PitchTrack(plan.rate)
        self._marks = Marks(plan.rate, cover=self.delay + longest)
        self._grains = Grains(plan.rate, self.delay, seed)
        self._drift = Drift(plan.rate)
        self._speaker = Speaker(plan.rate)
        self._next_hop = self._track.hop
        self._pitch, self._formant, self._shifted = (Glide(round(GLIDE_MS * plan.rate / 1000)) for _ in range(3))
        self._aim(controls)

    def convert(self, x: np.ndarray, controls: Controls, silent: bool = False) -> np.ndarray:
        """f32[block] → f32[block]. `silent` needs no care: silence is cheap by itself."""
        begin = self._x.end
        self._x.write(finite(x))
        self._aim(controls)
        self._live_through(begin, self._x.end)
        for glide in (self._pitch, self._formant):
            glide.advance(len(x))
        y = self._grains.render(self._x, begin - self.delay, self._x.end - self.delay)
        # grains laid closer than they were taken pile up their mean
        return (y - self._shifted.take(len(y)) * self._drift.feed(y)).astype(np.float32)

    def _aim(self, controls: Controls) -> None:
        preset = self._preset
        pitch, formant = preset.pitch + controls.pitch, controls.formant
        self._pitch.aim(float(np.clip(pitch, -PITCH_LIMIT, PITCH_LIMIT)))
        self._formant.aim(float(np.clip(formant, -FORMANT_LIMIT, FORMANT_LIMIT)))
        moved = formant or preset.formant or preset.formant_high
        self._shifted.aim(float(pitch != 0 or moved != 0))

    def _live_through(self, begin: int, end: int) -> None:
        """All events up to input sample `end`, in the order of their times; the tracker first where they meet."""
        while min(self._next_hop, self._grains.due) <= end:
            if self._next_hop <= self._grains.due:
                period = self._track.step(self._x, self._next_hop)
                self._speaker.step(period)
                self._marks.step(self._x, self._next_hop, period)
                self._next_hop += self._track.hop
            else:
                self._grains.choose(self._marks, self._shift(self._grains.due - begin))

    def _shift(self, ahead: int) -> Shift:
        """What the controls ask `ahead` samples after the block's beginning."""
        pitch = 2.0 ** (self._pitch.at(ahead) / 12)
        low, high = self._preset.formant, self._preset.formant_high
        formant = self._formant.at(ahead) + low + (high - low) * self._speaker.height
        return Shift(pitch, 2.0 ** (float(np.clip(formant, -FORMANT_LIMIT, FORMANT_LIMIT)) / 12))
