"""The built-in voices: one signal-processing voice, seven settings of it. Their names stand in `families.FAMILIES`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Where the controls `pitch` and `formant` start from."""

    pitch: float = 0.0
    """Semitones."""
    formant: float = 0.0
    """Semitones, for a low voice (110 Hz and less)."""
    formant_high: float = 0.0
    """The same for a high voice (200 Hz and more); between them, between."""
    fixed_hz: float = 0.0
    """A pitch that never moves by itself; 0: your own melody."""
    whispered: bool = False
    """Noise instead of the vocal folds."""


PRESETS: dict[str, Preset] = {
    "plain": Preset(),
    "deep": Preset(pitch=-4, formant=-1, formant_high=-2),
    "bright": Preset(pitch=4, formant=2, formant_high=0.5),
    "giant": Preset(pitch=-8, formant=-1.5, formant_high=-5),
    "tiny": Preset(pitch=9, formant=4.5, formant_high=1),
    "robot": Preset(fixed_hz=110),
    "whisper": Preset(whispered=True),
}
