"""The family of light voices: one content encoder and one decoder for all, a small file for each speaker."""

from __future__ import annotations

from functools import cache

from rwc_daemon.controls import Controls
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.base import Session, VoiceInfo, VoiceSource
from rwc_daemon.voices.light import native, weights
from rwc_daemon.voices.light.session import LightSession, Nets
from rwc_daemon.voices.quality_ladder import QualityStep, short_ladder

BLOCK_MS = 10.0


class LightVoice:
    """One speaker."""

    def __init__(self, info: VoiceInfo, speaker: weights.Speaker) -> None:
        self.info = info
        self.block = Block(ms=BLOCK_MS, on_hop=True)
        shared = weights.shared()[1]
        own = native.Decoder({**shared, **speaker.decoder}, speaker.embedding)
        self._nets = Nets(encoder(), own, speaker.pitch_hz, speaker.level)

    def ladder(self, controls: Controls) -> tuple[QualityStep, ...]:
        return short_ladder(controls)

    def open(self, plan: Plan, controls: Controls, seed: int = 0) -> Session:
        return LightSession(self._nets, plan, controls, seed)

    def pitch_shift(self, controls: Controls) -> float | None:
        return None  # it speaks at its own height, whoever speaks to it


@cache
def encoder() -> native.Encoder:
    """The one of this process."""
    return native.Encoder(weights.shared()[0])


def load(source: VoiceSource) -> LightVoice:
    """Returns the voice; see `families.FamilyRow.module`. Raises BadModel."""
    card = source.card
    path = weights.DATA / f"{source.info.id}.safetensors" if card is None else card.weights
    return LightVoice(source.info, weights.speaker(path))
