"""What is written down about a stored voice, and the names that voices may have."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rwc_daemon.errors import BadState
from rwc_daemon.families import FAMILIES, shipped

CARD, SETTINGS, INDEX = "card.json", "settings.json", "voice.index"
WEIGHTS = {kind: row.weights for kind, row in FAMILIES.items() if row.weights}
LONGEST_ID = 40
INDEX_NOTE = "plays without its index: "  # how the note begins that says why
INDEX_COUNT = slice(8, 16)  # bytes of our two forms of index that say how many vectors are in it


@dataclass(frozen=True)
class VoiceCard:
    """One stored voice: its folder, and what its weights are."""

    id: str
    """Name of the folder; what `use` takes."""
    name: str
    kind: str
    """A key of `families.FAMILIES`."""
    version: str
    """ "v1" (256 content features) or "v2" (768)."""
    f0: bool
    rate: int
    """samples/s."""
    speakers: int
    """Speakers that can be chosen; the rows of the table are in config[15]."""
    config: tuple[Any, ...]
    """The 18 entries, with the true rows and the rate in Hz; empty for ONNX."""
    vocoder: str
    embedder: str
    """The content encoder it was trained with."""
    licence: str
    """As stated in the file, or empty."""
    origin: str
    """The file it came from."""
    sha256: str
    """Of that file."""
    size: int
    """Bytes on disk."""
    folder: Path
    weights: Path
    index: Path | None = None
    notes: tuple[str, ...] = field(default=())
    """What the user should know."""
    vectors: int = 0
    """In the index."""


FROM_FOLDER = ("id", "size", "folder", "weights", "index", "vectors")  # not written down: the files themselves say it
STORED = tuple(one.name for one in fields(VoiceCard) if one.name not in FROM_FOLDER)


SHAPES = {"f0": bool, "rate": int, "speakers": int, "config": list, "notes": list}  # the others are text
LARGEST = (1 << 32) - 1


def card_bytes(facts: dict[str, Any]) -> bytes:
    """What goes into card.json; `facts` has the keys of STORED."""
    return json.dumps({key: facts[key] for key in STORED}, ensure_ascii=False, indent=1).encode()


def read_card(folder: Path) -> VoiceCard:
    """Raises BadState where the folder is no whole voice."""
    try:
        facts = json.loads((folder / CARD).read_bytes())
        check_shapes(facts)
        weights = folder / WEIGHTS[facts["kind"]]
        index = folder / INDEX
        size = sum(path.stat().st_size for path in (weights, index) if path.is_file())
        vectors = vectors_in(index) if index.is_file() else 0
        kept = {key: facts[key] for key in STORED} | {"config": frozen(facts["config"]), "notes": tuple(facts["notes"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise BadState(
            f"the voice in {folder} is damaged: `rwcctl remove {folder.name}`, then import it again"
        ) from None
    if not weights.is_file():
        raise BadState(f"the voice in {folder} has lost its weights: `rwcctl remove {folder.name}`, import it again")
    return VoiceCard(
        id=folder.name,
        folder=folder,
        weights=weights,
        index=index if index.is_file() else None,
        size=size,
        vectors=vectors,
        **kept,
    )


def vectors_in(index: Path) -> int:
    """How many vectors an index of ours holds, by its header."""
    with index.open("rb") as file:
        return min(LARGEST, int.from_bytes(file.read(INDEX_COUNT.stop)[INDEX_COUNT], "little"))


def check_shapes(facts: Any) -> None:
    """Raises ValueError, KeyError or TypeError where a fact is not of its kind: a card's words go out over D-Bus."""
    for key in STORED:
        kind = SHAPES.get(key, str)
        if type(facts[key]) is not kind:
            raise ValueError(f"{key} is not of its kind")
        if kind is str:
            facts[key].encode()
        if kind is int and not 0 <= facts[key] <= LARGEST:
            raise ValueError(f"{key} is out of range")


def frozen(value: Any) -> Any:
    """Lists, also nested, as tuples."""
    return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value


def slug(name: str) -> str:
    """A name as an id: small letters and digits of any script, hyphens between; never empty, a path or an option."""
    plain = unicodedata.normalize("NFKC", name).lower()
    words = "".join(letter if letter.isalnum() else " " for letter in plain).split()
    return "-".join(words)[:LONGEST_ID].strip("-") or "voice"


def free_id(name: str, taken: Iterable[str]) -> str:
    """`name`, or `name-2`, `name-3` …, whichever is not taken; the ids of voices that come with the package are."""
    used = {*taken, *shipped()}
    base = wanted = slug(name)
    number = 1
    while wanted in used:
        number += 1
        wanted = f"{base}-{number}"
    return wanted
