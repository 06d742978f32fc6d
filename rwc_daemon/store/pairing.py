"""Which index belongs to which voice: first by width, then by the words of their names, then by their folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rwc_daemon.store.layout import CONTENT_WIDTHS

# words that index and voice files carry whatever voice they hold
COMMON_WORDS = frozenset(
    ("added", "trained", "ivf", "flat", "nprobe", "v1", "v2", "v", "index", "model", "voice", "pth", "rvc", "final",
     "total", "fea", "weights", "best", "epoch", "e", "s")
)  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """A voice or an index, as pairing sees it."""

    name: str
    """File name without its ending."""
    folder: str
    """Where it lay; files named one by one lie in ""."""
    width: int
    """Features per frame."""


def words(name: str) -> frozenset[str]:
    """What a name says beyond convention: `added_IVF256_Flat_nprobe_1_Anna_v2` → {anna}."""
    parts = re.findall(r"[^\W\d_]+|\d+", re.sub(r"IVF\d+|nprobe_\d+|_v[12]$", " ", name, flags=re.IGNORECASE).lower())
    return frozenset(part for part in parts if part not in COMMON_WORDS)


def pair(voices: Sequence[Thing], indexes: Sequence[Thing], together: bool = True) -> dict[int, int]:
    """Number of the voice → number of its index. An index that fits several voices equally well goes to none.

    `together`: they came in one import, so one voice and its index need not share a name.
    """
    offers = []
    for i, index in enumerate(indexes):
        for v, voice in enumerate(voices):
            if voice.width == index.width:
                offers.append((_closeness(voice, index, together and len(voices) == 1), v, i))
    pairs: dict[int, int] = {}
    for closeness, v, i in sorted(offers, key=lambda offer: (-offer[0], offer[1], offer[2])):
        rivals = [offer for offer in offers if offer[2] == i and offer[0] == closeness and offer[1] != v]
        if closeness and v not in pairs and i not in pairs.values() and not rivals:
            pairs[v] = i
    return pairs


def _closeness(voice: Thing, index: Thing, alone: bool) -> float:
    """0: no reason to think that they belong together."""
    mine, theirs = words(voice.name), words(index.name)
    common = len(mine & theirs) / max(1, len(mine | theirs))
    near = voice.folder == index.folder
    if not common and mine and theirs and not alone:
        return 0.0
    return 10 * common + 2 * near + alone


def width_of(version: str) -> int:
    return CONTENT_WIDTHS[version]
