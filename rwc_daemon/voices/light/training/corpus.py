"""Parallel speech on disk: for each sentence one shipped speaker and one other speaker, aligned to the sample.

An item is drawn from the seed and its number alone, so making goes on where it stopped, several processes can share it,
and the same seed gives the same corpus. An item is there when its `.json` is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from rwc_daemon.voices.light.training import sentences, speakers
from rwc_daemon.voices.light.training.teacher import RATE, Blend, Spoken, Teacher

MALE_SHARE = 0.6  # of the sources: rough and low voices are the ones that are hard to understand
ROUGH_SHARE, FAST_SHARE, WHISPER_SHARE = 0.2, 0.25, 0.04
Say = Callable[[str], None]


@dataclass(frozen=True)
class Item:
    """One sentence by two speakers."""

    number: int
    speaker: int
    """Index into `speakers.SHIPPED`."""
    text: str
    target: np.ndarray
    """f32[n] @24 kHz: the shipped speaker."""
    source: np.ndarray
    """f32[n] @24 kHz: the other one."""
    pitch: np.ndarray
    """f32[n / 300]: Hz of the target at 80 Hz, low or 0 where unvoiced."""


def make(
    folder: Path, packages: Path, minutes: float, seed: int = 1, worker: tuple[int, int] = (0, 1), say: Say = print
) -> None:
    """Makes items until the folder holds so many minutes of target speech; `worker`: (which, of how many)."""
    folder.mkdir(parents=True, exist_ok=True)
    teacher = Teacher(packages)
    which, workers = worker
    if which == 0:
        _make_held_out(folder, teacher, seed)
    begun = time.monotonic()
    number = which
    while (there := seconds(folder)) < 60 * minutes:
        if not (folder / f"{number:05d}.json").exists():
            _make(folder, f"{number:05d}", teacher, np.random.default_rng((seed, number)))
            say(f"item {number}: {there / 60:.1f} of {minutes:.0f} min, {time.monotonic() - begun:.0f} s")
        number += workers


def seconds(folder: Path) -> float:
    """How much target speech for training the folder holds."""
    return sum(json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in folder.glob("[0-9]*.json"))


def items(folder: Path, pattern: str = "[0-9]*.json") -> Iterator[Item]:
    """The items of the folder by number; `held-*.json` gives those for validation."""
    for path in sorted(folder.glob(pattern)):
        yield read(path)


def read(path: Path) -> Item:
    """One item by its `.json`."""
    about = json.loads(path.read_text(encoding="utf-8"))
    pair, rate = soundfile.read(path.with_suffix(".flac"), dtype="float32")
    assert rate == RATE
    pitch = np.load(path.with_suffix(".npy"))
    return Item(about["number"], about["speaker"], about["text"], pair[:, 0], pair[:, 1], pitch)


def _make(folder: Path, name: str, teacher: Teacher, rng: np.random.Generator) -> None:
    sentence = sentences.draw(rng)
    speaker = int(rng.integers(len(speakers.SHIPPED)))
    speed = float(rng.uniform(1.1, 1.45) if rng.random() < FAST_SHARE else rng.uniform(0.85, 1.12))
    blend = speakers.SHIPPED[speaker].blend
    spoken = teacher.say(sentence.text, sentence.language, blend, speed)
    if rng.random() < WHISPER_SHARE:
        quiet = Spoken(spoken.audio, np.zeros_like(spoken.pitch), spoken.latent, spoken.energy, spoken.tokens)
        spoken = Spoken(teacher.again(quiet, blend, 1.0), quiet.pitch, *_rest(spoken))
    other, factor, male = _draw_source(rng, low=speaker >= 2)
    pitch = _roughened(spoken.pitch, rng) if male and rng.random() < ROUGH_SHARE else spoken.pitch
    source = teacher.again(Spoken(spoken.audio, pitch, *_rest(spoken)), other, factor)
    about = {"speaker": speaker, "text": sentence.text, "language": sentence.language, "speed": speed, "source": other}
    _write(folder / name, spoken, source, about)


def _rest(spoken: Spoken) -> tuple[np.ndarray, np.ndarray, int]:
    return spoken.latent, spoken.energy, spoken.tokens


def _draw_source(rng: np.random.Generator, low: bool) -> tuple[Blend, float, bool]:
    """A speaker between two styles, the factor from the target's pitch to theirs, and whether it is a man."""
    male = rng.random() < MALE_SHARE
    names = speakers.MEN if male else speakers.WOMEN
    first, second = (str(name) for name in rng.choice(names, 2, replace=False))
    share = float(rng.uniform(0, 0.7))
    height = (0.8, 1.25) if male else (1.25, 2.1)  # against a man's pitch
    factor = float(np.exp(rng.uniform(*np.log(height)))) * (1.0 if low else 0.66)
    return {first: 1 - share, second: share}, factor, male


def _roughened(pitch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A pitch that shakes from frame to frame, as that of worn voices does."""
    depth = rng.uniform(0.03, 0.12)
    return (pitch * np.exp(depth * rng.standard_normal(len(pitch)))).astype(np.float32)


def _make_held_out(folder: Path, teacher: Teacher, seed: int) -> None:
    """One held-out sentence for each shipped speaker, by sources that are never trained on."""
    for number, speaker in enumerate(speakers.SHIPPED):
        name = f"held-{speaker.name}"
        if (folder / f"{name}.json").exists():
            continue
        text = sentences.HELD_OUT[number]
        spoken = teacher.say(text, "en-us", speaker.blend)
        style = speakers.HELD_OUT[(3 * number + seed) % len(speakers.HELD_OUT)]
        male_to_male = 1.0 if number >= 2 else 0.66
        factor = male_to_male if style[1] == "m" else 1.6 * male_to_male
        source = teacher.again(spoken, {style: 1.0}, factor)
        _write(folder / name, spoken, source, {"speaker": number, "text": text, "source": style})


def _write(stem: Path, spoken: Spoken, source: np.ndarray, about: dict[str, Any]) -> None:
    pair = np.stack([spoken.audio, source], axis=1)
    pair /= max(1.0, float(np.abs(pair).max()) / 0.99)
    soundfile.write(stem.with_suffix(".flac"), pair, RATE, subtype="PCM_16")
    np.save(stem.with_suffix(".npy"), spoken.pitch.astype(np.float32))
    digits = stem.name if stem.name.isdigit() else "-1"
    part = stem.with_suffix(".part")
    whole = {"number": int(digits), "seconds": len(spoken.audio) / RATE, **about}
    part.write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    part.replace(stem.with_suffix(".json"))
