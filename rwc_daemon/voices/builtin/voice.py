"""Voices that need no weights: `BUILTIN` lists them, `load_builtin` gives one."""

from __future__ import annotations

import difflib

from rwc_daemon.controls import Controls
from rwc_daemon.errors import NoSuchVoice
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.base import Session, VoiceInfo
from rwc_daemon.voices.builtin.presets import PRESETS, Preset
from rwc_daemon.voices.quality_ladder import QualityStep, short_ladder

BLOCK_MS = 5.0

BUILTIN: dict[str, VoiceInfo] = {id: VoiceInfo(id, preset.name, "builtin") for id, preset in PRESETS.items()}


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


def load_builtin(id: str) -> BuiltinVoice:
    """Raises NoSuchVoice with the nearest name."""
    if id in BUILTIN:
        return BuiltinVoice(BUILTIN[id], PRESETS[id])
    near = difflib.get_close_matches(id, BUILTIN, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "there are " + ", ".join(BUILTIN)
    raise NoSuchVoice(f"no built-in voice '{id}': {hint}")
