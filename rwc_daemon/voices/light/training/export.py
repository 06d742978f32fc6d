"""From a checkpoint to the files that the package ships: the encoder, the decoder, and each speaker's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from rwc_daemon.plan import RATE_16K
from rwc_daemon.voices.light import shape
from rwc_daemon.voices.light.training.features import Example
from rwc_daemon.voices.light.training.speakers import SHIPPED

UNSHIPPED = ("speaker.weight", "phones.")


def export(checkpoint: Path, to: Path, examples: Sequence[Example]) -> None:
    """Writes `content.safetensors`, `decoder.safetensors` and a file for every shipped speaker."""
    to.mkdir(parents=True, exist_ok=True)
    decoder = load_file(checkpoint / "decoder-mean.safetensors")
    embeddings = decoder["speaker.weight"].astype(np.float32)
    for name, state in (("content", load_file(checkpoint / "content.safetensors")), ("decoder", decoder)):
        kept = {key: value for key, value in state.items() if not key.startswith(UNSHIPPED)}
        save_file(kept, to / f"{name}.safetensors")
    for number, speaker in enumerate(SHIPPED):
        own = [one for one in examples if one.speaker == number]
        about = {"pitch_hz": f"{_pitch(own):.1f}", "level": f"{_level(own):.3f}", "title": speaker.title}
        save_file({"embedding": embeddings[number]}, to / f"{speaker.name}.safetensors", about)


def _pitch(examples: Sequence[Example]) -> float:
    """The median over everything voiced, Hz."""
    voiced = np.concatenate([one.pitch[one.pitch > 0] for one in examples])
    return float(np.median(voiced))


def _level(examples: Sequence[Example]) -> float:
    """The usual height of loudness, log RMS, as the running voice measures its input."""
    samples = RATE_16K // 50 * shape.RATE // RATE_16K
    levels = []
    for one in examples:
        frames = one.sound[: len(one.sound) // samples * samples].reshape(-1, samples)
        levels.append(np.percentile(np.log(np.sqrt(np.square(frames).mean(axis=1) + 1e-8)), shape.LOUD_SHARE))
    return float(np.median(levels))
