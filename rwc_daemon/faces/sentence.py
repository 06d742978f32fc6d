"""The demo's sentence, spoken by espeak-ng: a small file in the package."""

from __future__ import annotations

from pathlib import Path

from rwc_daemon.dsp.resample import resample
from rwc_daemon.voices.base import Samples

FILE = Path(__file__).parent / "data" / "demo.flac"


def sentence(rate: int) -> Samples:
    """f32[n] @rate, about 6.6 s."""
    import soundfile

    sound, own_rate = soundfile.read(FILE, dtype="float32")
    return resample(sound, own_rate, rate)
