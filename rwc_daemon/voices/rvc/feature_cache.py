"""Content rows before the transformer, kept from block to block.

A row hears 400 samples and the statistics of the first norm, no other row: one that was heard once need not be heard
again as long as those statistics hold. When speech begins after silence they change, and all is heard again.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rwc_daemon.plan import HOP_16K
from rwc_daemon.voices.rvc.content import SHORTEST_16K, ContentEncoder, Statistics

FRAMES_PER_ROW = 2
ROW_16K = FRAMES_PER_ROW * HOP_16K
UNSURE_16K = HOP_16K  # of the newest sound: the next block says it again, better resampled
DRIFT = math.log(1.25)  # of the channels' spreads, on average; beyond it kept rows are too loud or too soft


def rows_on(then: int, now: int) -> int | None:
    """How many rows frame `now` is on from frame `then`; None where it is before, or between two rows."""
    ahead, between = divmod(now - then, FRAMES_PER_ROW)
    return None if between or ahead < 0 else ahead


class FeatureCache:
    """The memory of one live conversion."""

    def __init__(self, encoder: ContentEncoder) -> None:
        self._encoder = encoder
        self._rows = torch.empty(1, 0, 0)
        self._first = 0  # frame of the sound with which the first one begins
        self._known: Statistics | None = None  # when all rows were last heard

    @torch.inference_mode()
    def hear(self, past_16k: Tensor, heard: int, first: int) -> Tensor:
        """past_16k [1, P], of which rows are wanted for the last `heard` samples, which begin with frame `first` of the
        sound → [1, n, H]."""
        known = self._encoder.known(past_16k)
        rows = self._fitting(known, first)
        rows = rows[:, : max(0, (heard - SHORTEST_16K) // ROW_16K)]  # one at least is new
        if not rows.shape[1]:
            self._known = known
        new = self._encoder.hear(past_16k[:, -heard:][:, rows.shape[1] * ROW_16K :], known)
        rows = torch.cat([rows, new], dim=1) if rows.shape[1] else new
        sure = max(0, (heard - UNSURE_16K - SHORTEST_16K) // ROW_16K + 1)
        self._rows, self._first = rows[:, :sure], first
        return rows

    def _fitting(self, known: Statistics, first: int) -> Tensor:
        """The kept rows from frame `first` on."""
        ahead = rows_on(self._first, first)
        if ahead is None or self._known is None or self._drifted(known, self._known):
            return self._rows[:, :0]
        return self._rows[:, ahead:]

    @staticmethod
    def _drifted(now: Statistics, then: Statistics) -> bool:
        return bool((now.spread / then.spread).log().abs().mean() > DRIFT)
