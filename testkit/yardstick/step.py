"""One step of the reference's loop: a live step without what live sessions have beyond it. Source: docs/rvc.md."""

from __future__ import annotations

import torch
from torch import Tensor

from rwc_daemon.controls import Controls
from rwc_daemon.voices.rvc.feature_cache import FRAMES_PER_ROW
from rwc_daemon.voices.rvc.live import LIVE_OPTIONS, LiveOptions, LiveStep
from rwc_daemon.voices.rvc.noise import Noise
from rwc_daemon.voices.rvc.render import Renderer, to_frames
from rwc_daemon.voices.rvc.sola import Geometry
from rwc_daemon.voices.rvc.synth import Draws, Window

OPTIONS = LiveOptions(fill_gaps=True, cache_features=False, cache_retrieval=False)


class SilenceAround(LiveStep):
    """The decoder hears silence around the frames that it renders."""

    def __init__(
        self, renderer: Renderer, geometry: Geometry, noise: Noise, options: LiveOptions = LIVE_OPTIONS
    ) -> None:
        super().__init__(renderer, geometry, noise, options)
        self._surrounded, self._lead = False, 0


class PhaseStartsAgain(LiveStep):
    """The sine starts again with every block."""

    def _draws(self, first: int, window: Window, formant: float) -> Draws:
        return self._noise.draws(self._frame + first, self._g.frames - first, window)


class ReferenceStep(PhaseStartsAgain, SilenceAround):
    """The reference's own way: the sine starts again with every block, the first window's context counts as unvoiced,
    retrieval leaves the context and unvoiced frames alone, and one row without enough neighbours leaves the whole
    block without retrieval."""

    def __init__(self, renderer: Renderer, geometry: Geometry, noise: Noise) -> None:
        super().__init__(renderer, geometry, noise, OPTIONS)
        self._tracked = True

    def _phone(self, rows: Tensor, first: int, controls: Controls) -> tuple[Tensor, int]:
        rows = torch.cat([rows, rows[-1:]])
        mixed = self._r.mixed(rows, controls.index_rate, (self._g.skip - first) // FRAMES_PER_ROW, strict=True)
        return to_frames(mixed)[: self._g.frames - first], first
