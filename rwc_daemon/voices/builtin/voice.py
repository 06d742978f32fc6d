"""The family of voices that need no weights."""

from __future__ import annotations

import difflib

from rwc_daemon.controls import Controls
from rwc_daemon.errors import NoSuchVoice
from rwc_daemon.families import FAMILIES
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.base import Session, VoiceInfo, VoiceSource
from rwc_daemon.voices.builtin.presets import PRESETS, Preset
from rwc_daemon.voices.quality_ladder import QualityStep, short_ladder

BLOCK_MS = 5.0

KIND = "builtin"
BUILTIN: dict[str, VoiceInfo] = {id: VoiceInfo(id, name, KIND) for id, name in FAMILIES[KIND].ships.items()}


class BuiltinVoice:
    """One preset; it holds nothing but that."""

    def __init__(self, info: VoiceInfo, preset: Preset) -> None:
        self.info = info
        self.block = Block(ms=BLOCK_MS)
        self._preset = preset

    def ladder(self, controls: Controls) -> tuple[QualityStep, ...]:
        return short_ladder(controls)

    def open(self, plan: Plan, controls: Controls, seed: int = 0) -> Session:
        # imported here: the daemon lists these voices and never plays one, so it stays free of scipy
        from rwc_daemon.voices.builtin.robot import RobotSession
        from rwc_daemon.voices.builtin.session import PitchSession
        from rwc_daemon.voices.builtin.whisper import WhisperSession

        fixed = RobotSession if self._preset.fixed_hz else PitchSession
        kind = WhisperSession if self._preset.whispered else fixed
        return kind(self._preset, plan, controls, seed)

    def pitch_shift(self, controls: Controls) -> float | None:
        moves = not (self._preset.fixed_hz or self._preset.whispered)
        return controls.pitch + self._preset.pitch if moves else None


def load(source: VoiceSource) -> BuiltinVoice:
    """Returns the voice; see `families.FamilyRow.module`."""
    return BuiltinVoice(source.info, PRESETS[source.info.id])


def load_builtin(id: str) -> BuiltinVoice:
    """Returns a built-in voice by its id alone. Raises NoSuchVoice with the nearest id."""
    if id in BUILTIN:
        return BuiltinVoice(BUILTIN[id], PRESETS[id])
    near = difflib.get_close_matches(id, BUILTIN, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "there are " + ", ".join(BUILTIN)
    raise NoSuchVoice(f"no built-in voice '{id}': {hint}")
