"""From the sound of a pair to what the decoder is trained with, kept on disk beside the pair."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch

from rwc_daemon.plan import RATE_16K
from rwc_daemon.voices.f0.yin import Yin
from rwc_daemon.voices.light import shape
from rwc_daemon.voices.light.training.augment import changed
from rwc_daemon.voices.light.training.corpus import Item
from rwc_daemon.voices.light.training.nets import Content
from rwc_daemon.voices.light.training.teacher import FRAME

LEAST_VOICED_HZ = 60.0
SOURCE_VIEWS, TARGET_VIEWS = 4, 2  # of which the first is unchanged


@dataclass(frozen=True)
class View:
    """One way in which a sentence may be heard, on the time of the target."""

    content: np.ndarray
    """f16[n / 2 + 1, 288]."""
    conditions: np.ndarray
    """f32[3, n]."""


@dataclass(frozen=True)
class Example:
    """A sentence: what to say, and how it may be heard."""

    speaker: int
    sound: np.ndarray
    """f32[240 n] @24 kHz: the target."""
    pulses: np.ndarray
    """f32[240 n]: excitation in phase with the target."""
    pitch: np.ndarray
    """f32[n]: Hz of the target, 0 where unvoiced."""
    views: tuple[View, ...]


def example(item: Item, net: Content, cache: Path | None = None, seed: int = 1) -> Example:
    """Everything about one item; what the content encoder costs is kept in the folder `cache`."""
    hops = len(item.target) // shape.HOP // 2 * 2
    pitch, pulses = _excitation(item.pitch, hops)
    kept = None if cache is None else cache / f"{item.number:05d}.npz"
    if kept is not None and item.number >= 0 and kept.exists():
        with np.load(kept) as stored:
            views = tuple(View(c, o) for c, o in zip(stored["content"], stored["conditions"], strict=True))
    else:
        views = _views(item, net, hops, np.random.default_rng((seed, 7, max(0, item.number))))
        if kept is not None and item.number >= 0:
            kept.parent.mkdir(parents=True, exist_ok=True)
            contents, conditions = (
                np.stack(part) for part in zip(*((v.content, v.conditions) for v in views), strict=True)
            )
            part = kept.with_suffix(".part.npz")
            np.savez(part, content=contents, conditions=conditions)
            part.replace(kept)
    sound = item.target[: hops * shape.HOP]
    return Example(item.speaker, sound, pulses, pitch, views)


def digest(net: Content) -> str:
    """Names a content encoder by its weights."""
    hashed = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        hashed.update(name.encode() + value.half().numpy().tobytes())
    return hashed.hexdigest()[:12]


def heard(x_16k: np.ndarray, net: Content, hops: int, ratio: float = 1.0) -> View:
    """What the voice hears of a clip; its time runs `ratio` times as fast as that of the `hops`."""
    with torch.inference_mode():
        content = net.heard(torch.from_numpy(np.asarray(x_16k, np.float32))[None])[0].numpy()
    own_hops = len(x_16k) // shape.HOP_16K + 1
    hz = Yin().track(np.asarray(x_16k, np.float32))[:own_hops]
    loud = shape.loudness(x_16k, own_hops)
    loud -= max(float(np.percentile(loud, shape.LOUD_SHARE)), shape.LOUD_LEAST)
    voiced = hz > 0
    height = np.log(np.where(voiced, hz, 1))
    height -= float(np.median(height[voiced])) if voiced.any() else 0.0
    height = shape.held(height, voiced).clip(*shape.PITCH_RANGE)
    at = np.arange(hops) / ratio
    nearest = np.clip(np.round(at).astype(int), 0, own_hops - 1)
    steady = np.interp(at, np.arange(own_hops), loud)
    conditions = np.stack([height[nearest], voiced[nearest], steady]).astype(np.float32)
    return View(_warped(content, hops // 2 + 1, ratio).astype(np.float16), conditions)


def _views(item: Item, net: Content, hops: int, rng: np.random.Generator) -> tuple[View, ...]:
    views = []
    for sound, count in ((item.source, SOURCE_VIEWS), (item.target, TARGET_VIEWS)):
        x = soxr.resample(sound, shape.RATE, RATE_16K)
        views.append(heard(x, net, hops))
        views += [heard(other, net, hops, ratio) for other, ratio in (changed(x, rng) for _ in range(count - 1))]
    return tuple(views)


def _warped(content: np.ndarray, frames: int, ratio: float) -> np.ndarray:
    at = np.arange(frames) / ratio
    first = np.clip(at.astype(int), 0, len(content) - 1)
    second = np.minimum(first + 1, len(content) - 1)
    share = np.clip(at - first, 0, 1)[:, None].astype(np.float32)
    return np.asarray(content[first] * (1 - share) + content[second] * share)


def _excitation(pitch_80hz: np.ndarray, hops: int) -> tuple[np.ndarray, np.ndarray]:
    """(f32[hops] Hz or 0, f32[240 hops]): pulses locked to the teacher's phase where it is voiced, going on with the
    last pitch where it is not."""
    voiced = pitch_80hz > LEAST_VOICED_HZ
    held = shape.held(pitch_80hz, voiced, otherwise=150.0).astype(np.float64)
    frame = np.clip((np.arange(hops) * shape.HOP) // FRAME, 0, len(pitch_80hz) - 1)
    pitch = np.where(voiced[frame], pitch_80hz[frame], 0).astype(np.float32)
    samples = np.arange(hops * shape.HOP)
    at = np.clip(samples // FRAME, 0, len(pitch_80hz) - 1)
    # the teacher sums its phase once per frame and draws lines between the middles
    summed = FRAME * np.cumsum(pitch_80hz.astype(np.float64) / shape.RATE)
    phase = np.interp(samples, np.arange(len(pitch_80hz)) * FRAME + (FRAME - 1) / 2, summed)
    edges = np.flatnonzero(np.diff(voiced[at].astype(int))) + 1
    for begin, stop in zip([0, *edges], [*edges, len(samples)], strict=True):
        if stop > begin and not voiced[at[begin]]:
            before = phase[begin - 1] if begin else 0.0
            phase[begin:stop] = before + np.cumsum(held[at[begin:stop]]) / shape.RATE
    return pitch, shape.pulses(phase, held[at])
