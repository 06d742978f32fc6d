"""Content encoders by name: a voice hears only the one that it was trained with.

Nearly all voices hear contentvec (also called hubert_base). Applio and rvc-webui train with others as well and write
the name into the voice; such an encoder is a support file of that name, `encoder-NAME.safetensors`, which the user
brings.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from rwc_daemon.store.card import slug

CONTENTVEC = "contentvec"
SAME = ("contentvec", "hubert-base", "hubert", "contentvec-base")  # names under which contentvec is known
ALIASES = {
    "spin-v1": "spin",
    "hubert-base-japanese": "japanese-hubert-base",
    "hubert-base-korean": "korean-hubert-base",
    "chinese-hubert": "chinese-hubert-base",
}
# folders in which Applio keeps the others
OTHERS = ("spin", "spin-v2", "chinese-hubert-base", "japanese-hubert-base", "korean-hubert-base")
NO_NAMES = ("model", "pytorch-model")  # files whose folder has the name
NOTE = "made for the content encoder "  # how the note of a voice begins that names another one


class AssetFolder(Protocol):
    """The part of `store.assets.Assets` that is used here."""

    def has(self, name: str) -> bool: ...


def encoder_id(said: str) -> str:
    """The name of a support file for what a voice, a folder or a user calls its content encoder."""
    name = slug(said).removesuffix("768").rstrip("-") if said.strip() else CONTENTVEC
    return CONTENTVEC if name in SAME else ALIASES.get(name, name)


def encoder_for(said: str, assets: AssetFolder) -> str:
    """The encoder that a voice is played with here: its own, or contentvec where that is missing."""
    own = encoder_id(said)
    return own if assets.has(own) else CONTENTVEC


def note(said: str) -> str:
    """What to tell while the voice's own encoder is not here; empty where contentvec is the right one."""
    own = encoder_id(said)
    if own == CONTENTVEC:
        return ""
    return (
        f"{NOTE}'{own}', which is not here: with contentvec its words are unclear; get '{own}' where the voice is from "
        f"and bring it in with `rwcctl assets add PATH --name {own}`"
    )


def notes_now(stored: Iterable[str], said: str, assets: AssetFolder) -> tuple[str, ...]:
    """The notes of a voice as they are true on this machine now."""
    others = [one for one in stored if not one.startswith(NOTE)]
    missing = "" if assets.has(encoder_id(said)) else note(said)
    return tuple([*others, missing] if missing else others)


def guessed(path: Path) -> str:
    """The encoder that a file or folder is named after, of the known ones; contentvec for all other names."""
    name = slug(path.stem if path.suffix else path.name)
    found = encoder_id(path.parent.name if name in NO_NAMES else name)
    return found if found in OTHERS else CONTENTVEC
