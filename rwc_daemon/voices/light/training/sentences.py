"""The sentences that the teacher speaks: written ones, and ones put together at random.

Sound that covers the phonemes of English in all neighbourhoods matters, sense does not; other languages bring phonemes
that English lacks.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_LISTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_SUBJECTS, _OBJECTS, _VERBS, _WHENS = (_LISTS[name] for name in ("subjects", "objects", "verbs", "whens"))
_FRAMES, _WRITTEN, _OTHERS = (_LISTS[name] for name in ("frames", "written", "other_languages"))
HELD_OUT: Sequence[str] = _LISTS["held_out"]
"""Never trained on: what judges hear."""


@dataclass(frozen=True)
class Sentence:
    """What is said, and in which language's sounds (a name of eSpeak's)."""

    text: str
    language: str = "en-us"


def draw(rng: np.random.Generator) -> Sentence:
    """Returns the next sentence: mostly English ones put together, some written, a tenth in other languages."""
    kind = rng.random()
    if kind < 0.1:
        language = _one(rng, list(_OTHERS))
        return Sentence(_one(rng, _OTHERS[language]), language)
    language = "en-gb" if rng.random() < 0.25 else "en-us"
    return Sentence(_one(rng, _WRITTEN) if kind < 0.25 else _composed(rng), language)


def _composed(rng: np.random.Generator) -> str:
    clause = _clause(rng)
    kind = rng.random()
    if kind < 0.3:
        text = f"{clause} {_one(rng, _LISTS['whens'])}."
    elif kind < 0.55:
        text = _one(rng, _FRAMES).format(clause)
    elif kind < 0.75:
        text = f"{_one(rng, _LISTS['whens'])}, {clause}."
    else:
        text = f"{clause}, and {_clause(rng)} {_one(rng, _LISTS['whens'])}."
    return text[0].upper() + text[1:]


def _clause(rng: np.random.Generator) -> str:
    return f"{_one(rng, _LISTS['subjects'])} {_one(rng, _LISTS['verbs'])} {_one(rng, _LISTS['objects'])}"


def _one(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.integers(len(words)))]
