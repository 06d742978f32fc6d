"""One step of a live conversion: the newest window in, the rendered part of it out.

The content net hears the whole window; pitch is tracked on its newest part only and remembered; the synthesizer answers
for the frames after the context. Source: docs/rvc.md section 7, which this follows number by number. Two things can be
had beyond it, and live sessions have them: noise owned at the frame (see `noise`) and a harmonic phase that goes on
from where the last rendering stood at the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rwc_daemon.controls import Controls
from rwc_daemon.plan import HOP_16K
from rwc_daemon.trackers import TRACKERS
from rwc_daemon.voices.f0.base import Tracker
from rwc_daemon.voices.rvc.decoder import Reaches
from rwc_daemon.voices.rvc.feature_cache import FRAMES_PER_ROW, FeatureCache
from rwc_daemon.voices.rvc.noise import Noise
from rwc_daemon.voices.rvc.render import Pitch, Renderer, stretched, to_frames
from rwc_daemon.voices.rvc.retrieval import Look, RetrievalCache
from rwc_daemon.voices.rvc.sola import Geometry
from rwc_daemon.voices.rvc.synth import Draws, Window

TRACKED_BEYOND_16K = 5 * HOP_16K  # samples before the block that the tracker hears too
UNSURE_HEAD, UNSURE_TAIL = 3, 1  # tracked frames at the edges that are not kept


@dataclass(frozen=True)
class LiveOptions:
    """How a live session works."""

    fill_gaps: bool = False
    """Unvoiced frames get their neighbours' pitch."""
    content_frames: int | None = None
    """That the content encoder hears before the block; None: all."""
    text_frames: int | None = None
    """That the text encoder hears before the block; None: as the content encoder."""
    cache_features: bool = True
    """Content rows before the transformer are not computed again; not where fixed graphs run."""
    cache_retrieval: bool = True
    """What retrieval found for a row that was played is not searched again."""


LIVE_OPTIONS = LiveOptions()


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
    row = TRACKERS.get(tracker)
    if row is None or not row.grid_frames:
        return wanted
    grid_16k = row.grid_frames * HOP_16K
    return grid_16k * ((wanted - 1) // grid_16k + 1) - HOP_16K


class LiveStep:
    """Memory of one live conversion between its steps."""

    def __init__(
        self, renderer: Renderer, geometry: Geometry, noise: Noise, options: LiveOptions = LIVE_OPTIONS
    ) -> None:
        self._r, self._g, self._noise, self._options = renderer, geometry, noise, options
        self.memory = PitchMemory(geometry.frames)
        self._surrounded = renderer.open  # the decoder hears what lies around the frames it renders
        self._lead = min(Reaches.of(renderer.config).frames, geometry.skip) if self._surrounded else 0
        self._turns = 0.0  # cycles of the fundamental before the first rendered sample
        self._frame = 0  # absolute number of the window's first frame
        self._tracked = False  # the first window is tracked as far as it is heard
        self._rows = FeatureCache(renderer.content) if options.cache_features and renderer.graphs is None else None
        index = renderer.index if options.cache_retrieval else None
        self._found = RetrievalCache(index) if index is not None else None

    def rest(self) -> None:
        """A block that nobody will hear: only time goes on."""
        self.memory.rest(self._g.block_frames)
        self._move(0.0)

    def forget_pitch(self) -> None:
        """The window was filled without a step: track what is heard of it next time."""
        self._tracked = False

    def run(self, x_16k: np.ndarray, tracker: Tracker | None, controls: Controls) -> np.ndarray:
        """f32[window @16k] → f32[rendered frames * U] @voice."""
        r, g = self._r, self._g
        if tracker is not None:
            self._track(x_16k, tracker, controls)
        first = self._first_heard()
        rows = r.features(x_16k, len(x_16k) - first * HOP_16K, self._rows, self._frame + first)
        phone, first = self._phone(rows, first, controls)
        pitch = self.memory.pitch.part(first, g.frames)
        window = self._window(first, controls.formant)
        draws = self._draws(first, window, controls.formant)
        speaker = min(controls.speaker, r.config.speakers - 1)
        y = r.render(phone, pitch, speaker, draws, window, controls.formant)
        self._move(controls.formant)
        return y

    def _first_heard(self) -> int:
        """The frame of the window with which the content encoder's hearing begins."""
        options = self._options
        first = 0 if options.content_frames is None else max(0, self._g.skip - options.content_frames)
        if first:
            first -= (self._frame + first) % FRAMES_PER_ROW  # rows always begin at the same moments
        return first

    def _phone(self, rows: Tensor, first: int, controls: Controls) -> tuple[Tensor, int]:
        """Content rows from frame `first` on → [T, C] for the text encoder, and the frame with which it begins."""
        r, g, options = self._r, self._g, self._options
        rows = torch.cat([rows, rows[-1:]])
        unheard = 0
        if options.text_frames is not None:
            unheard = max(0, g.skip - options.text_frames - first) // FRAMES_PER_ROW
        rows, first = rows[unheard:], first + unheard * FRAMES_PER_ROW
        # in the context too, so that it is what it was when it was rendered
        mixed = r.mixed(rows, controls.index_rate, look=self._look_from(first))
        frames = g.frames - first
        phone = to_frames(mixed)[:frames]
        if mixed is not rows:
            pitch = self.memory.pitch.part(first, g.frames)
            phone = r.guarded(phone, to_frames(rows)[:frames], pitch, controls.protect)
        return phone, first

    def _look_from(self, first: int) -> Look | None:
        """How retrieval looks up rows that begin with frame `first` of the window; None: all of them."""
        found, g = self._found, self._g
        if found is None:
            return None
        played = (g.skip + g.block_frames - first) // FRAMES_PER_ROW
        return lambda rows: found.look(rows, self._frame + first, played)

    def _window(self, first: int, formant: float) -> Window:
        g, hop = self._g, self._r.config.hop
        skip = g.skip - first
        if not self._surrounded:
            return Window(skip, g.rendered)
        lead, trail = min(self._lead, skip), g.frames - g.skip - g.rendered
        fast = self._r.hop_at(formant)
        if fast == hop:
            return Window(skip, g.rendered, None, lead, trail)
        shift = (self._frame + g.skip - lead) * fast % hop
        return Window(skip, g.rendered, None, lead, trail, fast, shift)

    def _track(self, x_16k: np.ndarray, tracker: Tracker, controls: Controls) -> None:
        newest = self._g.block_16k if self._tracked else self._pitched() * HOP_16K
        length = min(tracked_16k(tracker.name, newest), len(x_16k))
        self._tracked = True
        f0_hz = self._r.tracked(tracker, x_16k[-length:])
        fill = self._options.fill_gaps or controls.f0_gaps == "fill"
        self.memory.advance(Pitch.of(f0_hz, controls.pitch - controls.formant, fill), self._g.block_frames)

    def _pitched(self) -> int:
        """Frames of the window whose pitch any net asks for."""
        g, options = self._g, self._options
        context = min(n for n in (g.skip, options.content_frames, options.text_frames) if n is not None)
        return g.frames - g.skip + min(g.skip, context + FRAMES_PER_ROW)

    def _draws(self, first: int, window: Window, formant: float) -> Draws:
        draws = self._noise.draws(self._frame + first, self._g.frames - first, window)
        if not self._r.config.f0:
            return draws
        skip = self._g.skip
        turns = self._turns - self._cycles(skip - window.lead, skip, formant)
        harmonics = torch.arange(1, self._r.config.harmonics + 1, dtype=torch.float64)
        return draws._replace(phase=(turns * harmonics)[None])

    def _cycles(self, first: int, last: int, formant: float) -> float:
        """Of the fundamental in these frames, as the source plays them."""
        c, length = self._r.config, self._g.rendered
        faster = self._r.hop_at(formant) / c.hop if self._surrounded else stretched(length, formant) / length
        return float(self.memory.pitch.hz[first:last].sum(dtype=np.float64)) * faster * c.hop / c.rate

    def _move(self, formant: float) -> None:
        """On by one block: where the sine then stands, by the pitch that this block was rendered with."""
        g = self._g
        self._turns = (self._turns + self._cycles(g.skip, g.skip + g.block_frames, formant)) % 1
        self._frame += g.block_frames
