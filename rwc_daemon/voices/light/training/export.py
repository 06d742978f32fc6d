"""From a checkpoint to the files that the package ships: the encoder, the decoder, and each speaker's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy import fft

from rwc_daemon.plan import RATE_16K
from rwc_daemon.voices.light import shape
from rwc_daemon.voices.light.training.features import Example
from rwc_daemon.voices.light.training.speakers import SHIPPED

UNSHIPPED = ("speaker.weight", "phones.")
SHARPER = 1.25  # a prediction that minimises a distance is flatter than speech is
FLAT_TERMS = 2  # of the cosine series of an envelope that stay: level and slope


def export(checkpoint: Path, to: Path, examples: Sequence[Example]) -> None:
    """Writes `content.safetensors`, `decoder.safetensors` and a file for every shipped speaker."""
    to.mkdir(parents=True, exist_ok=True)
    decoder = load_file(checkpoint / "decoder-mean.safetensors")
    embeddings = decoder["speaker.weight"].astype(np.float32)
    sharpen(decoder, SHARPER)
    for name, state in (("content", load_file(checkpoint / "content.safetensors")), ("decoder", decoder)):
        kept = {key: value for key, value in state.items() if not key.startswith(UNSHIPPED)}
        save_file(kept, to / f"{name}.safetensors")
    for number, speaker in enumerate(SHIPPED):
        own = [one for one in examples if one.speaker == number]
        about = {"pitch_hz": f"{_pitch(own):.1f}", "level": f"{_level(own):.3f}", "title": speaker.title}
        save_file({"embedding": embeddings[number]}, to / f"{speaker.name}.safetensors", about)


def sharpen(decoder: dict[str, np.ndarray], factor: float) -> None:
    """Makes the details of every envelope that the decoder predicts deeper by a factor, in its last layer."""
    for part in (shape.HARMONIC, shape.NOISE):
        count = part.stop - part.start
        gains = np.where(np.arange(count) < FLAT_TERMS, 1.0, factor)
        deeper = fft.idct(gains[:, None] * fft.dct(np.eye(count), axis=0, norm="ortho"), axis=0, norm="ortho")
        for name in ("last.weight", "last.bias", "end.weight", "end.bias"):
            flat = decoder[name][part].reshape(count, -1).astype(np.float64)
            whole = decoder[name].astype(np.float32)
            whole[part] = (deeper @ flat).reshape(whole[part].shape)
            decoder[name] = whole.astype(np.float16)


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
