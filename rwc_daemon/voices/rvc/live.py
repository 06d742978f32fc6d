"""One step of a live conversion: the newest window in, the rendered part of it out.

The content net hears the whole window; pitch is tracked on its newest part only and remembered; the synthesizer answers
for the frames after the context. Source: spec section 7, which this follows number by number. Two things can be had
beyond it, and live sessions have them: noise owned at the frame (see `noise`) and a harmonic phase that goes on from
where the last rendering stood at the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from rwc_daemon.controls import Controls
from rwc_daemon.plan import HOP_16K
from rwc_daemon.voices.f0.base import Tracker
from rwc_daemon.voices.rvc.noise import Noise
from rwc_daemon.voices.rvc.render import OFF, Pitch, Renderer, to_frames
from rwc_daemon.voices.rvc.splice import Geometry
from rwc_daemon.voices.rvc.synth import Draws, Window

TRACKED_BEYOND_16K = 5 * HOP_16K  # samples before the block that the tracker hears too
RMVPE_GRID_16K = 32 * HOP_16K  # rmvpe thinks in 32 frames: a window one frame short of that needs no padding
UNSURE_HEAD, UNSURE_TAIL = 3, 1  # tracked frames at the edges that are not kept


@dataclass(frozen=True)
class Habits:
    """Where a live session departs from the reference's loop."""

    carry_phase: bool = True
    # the sine goes on where it was; off: it starts anew with every block
    track_first: bool = True
    # the first window is tracked as a whole; off: its context counts as unvoiced
    fill_gaps: bool = False
    # unvoiced frames get their neighbours' pitch
    strict_search: bool = False
    # one row without enough neighbours leaves the whole block without retrieval
    protect: bool = True


LIVE = Habits()
REFERENCE = Habits(carry_phase=False, track_first=False, fill_gaps=True, strict_search=True, protect=False)


class PitchMemory:
    """The pitch of every frame of the window, kept from block to block."""

    def __init__(self, frames: int) -> None:
        self.pitch = Pitch(np.zeros(frames, np.int64), np.zeros(frames, np.float32), np.zeros(frames, np.float32))

    def advance(self, heard: Pitch, frames: int) -> None:
        """The window moves on by `frames`; the newest frames become those of `heard`, its unsure edges apart."""
        kept = heard.part(UNSURE_HEAD, len(heard.hz) - UNSURE_TAIL)
        self.pitch = Pitch(*(
            _moved(old, new, frames)
            for old, new in (
                (self.pitch.coarse, kept.coarse),
                (self.pitch.hz, kept.hz),
                (self.pitch.voiced_hz, kept.voiced_hz),
            )
        ))  # fmt: skip

    def rest(self, frames: int) -> None:
        """The window moves on by unvoiced frames."""
        nothing = np.zeros(frames + UNSURE_HEAD + UNSURE_TAIL, np.float32)
        self.advance(Pitch.of(nothing, 0, False), frames)


def _moved(old: np.ndarray, new: np.ndarray, frames: int) -> np.ndarray:
    moved = np.concatenate([old[frames:], np.zeros(frames, old.dtype)])
    new = new[-len(moved) :]
    moved[len(moved) - len(new) :] = new
    return moved


def tracked_16k(tracker: str, block_16k: int) -> int:
    """Samples of the window's end that a tracker is given for one block."""
    wanted = block_16k + TRACKED_BEYOND_16K
    if tracker == "rmvpe":
        return RMVPE_GRID_16K * ((wanted - 1) // RMVPE_GRID_16K + 1) - HOP_16K
    return wanted


class LiveStep:
    """Memory of one live conversion between its steps."""

    def __init__(self, renderer: Renderer, geometry: Geometry, noise: Noise, habits: Habits = LIVE) -> None:
        self._r, self._g, self._noise, self._habits = renderer, geometry, noise, habits
        self.memory = PitchMemory(geometry.frames)
        self.window = Window(geometry.skip, geometry.rendered)
        self._turns = 0.0  # cycles of the fundamental before the first rendered sample
        self._frame = 0  # absolute number of the window's first frame
        self._tracked = not habits.track_first

    def rest(self) -> None:
        """A block that nobody will hear: only time goes on."""
        self.memory.rest(self._g.block_frames)
        self._move()

    def forget_pitch(self) -> None:
        """The window was filled without a step: track it as a whole next time."""
        self._tracked = False

    def run(self, x_16k: np.ndarray, tracker: Tracker | None, controls: Controls) -> np.ndarray:
        """f32[window @16k] → f32[rendered frames * U] @voice."""
        r, g, habits = self._r, self._g, self._habits
        rows = r.features(x_16k)
        rows = torch.cat([rows, rows[-1:]])
        mixed = r.mixed(rows, controls.index_rate, g.skip // 2, habits.strict_search)
        if tracker is not None:
            self._track(x_16k, tracker, controls.pitch - controls.formant)
        pitch = self.memory.pitch
        phone = to_frames(mixed)[: g.frames]
        if habits.protect:
            raw = phone if mixed is rows else to_frames(rows)[: g.frames]
            phone = r.guarded(phone, raw, pitch, controls.protect if mixed is not rows else OFF)
        draws = self._draws(pitch)
        speaker = min(controls.speaker, r.config.speakers - 1)
        y = r.render(phone, pitch, speaker, draws, self.window, controls.formant)
        self._move()
        return y

    def _track(self, x_16k: np.ndarray, tracker: Tracker, semitones: float) -> None:
        length = tracked_16k(tracker.name, self._g.block_16k) if self._tracked else len(x_16k)
        self._tracked = True
        f0_hz = tracker.track(x_16k[-length:])
        self.memory.advance(Pitch.of(f0_hz, semitones, self._habits.fill_gaps), self._g.block_frames)

    def _draws(self, pitch: Pitch) -> Draws:
        draws = self._noise.draws(self._frame, self._g.frames, self.window)
        if not (self._habits.carry_phase and self._r.config.f0):
            return draws
        harmonics = torch.arange(1, self._r.config.harmonics + 1, dtype=torch.float64)
        return draws._replace(phase=(self._turns * harmonics)[None])

    def _move(self) -> None:
        """On by one block: where the sine then stands, by the pitch that this block was rendered with."""
        c, g = self._r.config, self._g
        hz = self.memory.pitch.hz[g.skip : g.skip + g.block_frames]
        self._turns = (self._turns + float(hz.sum(dtype=np.float64)) * c.hop / c.rate) % 1
        self._frame += g.block_frames
