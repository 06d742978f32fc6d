"""The judges of judge_light, in their own environment: reads the sounds of a folder, prints JSON by name."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import soundfile
from builtin_ears import mos, whisper


def voiceprint() -> Callable[[Path], list[float]]:
    """256 numbers that say whose voice it is, by Resemblyzer."""
    sys.modules.setdefault("webrtcvad", types.ModuleType("webrtcvad"))  # imported there, not used by what we call
    from resemblyzer.voice_encoder import VoiceEncoder

    encoder = VoiceEncoder("cpu", verbose=False)

    def print_of(path: Path) -> list[float]:
        x, _ = soundfile.read(path, dtype="float32")
        return [float(one) for one in encoder.embed_utterance(x)]

    return print_of


if __name__ == "__main__":
    scores: dict[str, dict[str, object]] = {}
    for name, make in {"whisper": whisper, "mos": mos, "voice": voiceprint}.items():
        judge = make()
        for path in sorted(Path(sys.argv[1]).glob("*.wav")):
            if not (name == "whisper" and path.stem.startswith("target")):
                scores.setdefault(path.stem, {})[name] = judge(path)
    print(json.dumps(scores))
