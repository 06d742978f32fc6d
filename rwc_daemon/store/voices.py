"""The voices of this user on disk: one private folder each, there whole or not at all.

voices/ID/  weights.safetensors or model.onnx · card.json · voice.index (if any) · settings.json (what is remembered)
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rwc_daemon.controls import Controls, changed, known_name
from rwc_daemon.errors import BadModel, BadState, NoSuchControl, NoSuchVoice, OutOfRange
from rwc_daemon.store import importer
from rwc_daemon.store.card import (
    CARD,
    INDEX,
    INDEX_NOTE,
    SETTINGS,
    WEIGHTS,
    VoiceCard,
    card_bytes,
    free_id,
    read_card,
)
from rwc_daemon.store.files import (
    PRIVATE_FILE,
    disk_error,
    make_private,
    plain_file,
    private_folder,
    staging,
    sync_folder,
    write_atomic,
)
from rwc_daemon.store.pairing import Thing, pair, width_of
from rwc_daemon.store.tensors import Progress

LONGEST_NAME = 80

Cards = list[VoiceCard]
Tell = Callable[[str], None]
log = logging.getLogger(__name__)


class VoiceStore:
    """`root` holds one folder per voice; it is made when first needed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self) -> Cards:
        """Every whole voice, by name; a damaged one is left out and named in the journal."""
        cards = []
        for folder in self._folders():
            try:
                cards.append(read_card(folder))
            except BadState as error:
                log.warning("%s", error)
        return sorted(cards, key=lambda card: (card.name.casefold(), card.id))

    def get(self, wanted: str) -> VoiceCard:
        """By id, or by a name that only one has. Raises NoSuchVoice with the nearest, BadState for a damaged one."""
        folders = {folder.name: folder for folder in self._folders()}
        if wanted in folders:
            return read_card(folders[wanted])
        cards = self.list()
        named = [card for card in cards if card.name.casefold() == wanted.casefold()]
        if len(named) == 1:
            return named[0]
        if named:
            ids = " or ".join(card.id for card in named)
            raise NoSuchVoice(f"several voices are named '{wanted}': use the id, {ids}")
        raise NoSuchVoice(f"no imported voice '{wanted}': {_hint(wanted, cards)}")

    def remove(self, wanted: str) -> None:
        """Deletes a voice, also a damaged one. Raises NoSuchVoice, BadState."""
        folder = self.root / wanted if wanted in [one.name for one in self._folders()] else self.get(wanted).folder
        try:
            with staging(self.root) as grave:  # out of sight in one step, then deleted
                os.rename(folder, grave / "removed")
                shutil.rmtree(grave / "removed")
        except OSError as error:
            raise disk_error(folder, error) from None

    def bring_in(
        self,
        paths: Sequence[Path],
        name: str | None = None,
        progress: Progress | None = None,
        cancelled: importer.Cancel | None = None,
        left_out: Tell | None = None,
    ) -> Cards:
        """Imports files, folders and zips in a confined child; the voices (for an index alone, the one it joins).

        A voice that is here already is not stored twice, unless `name` is another than it has. `progress` is told the
        share done, `left_out` each file that was of no use and why, `cancelled` is asked whether to stop.
        Raises BadModel, Unsupported, Cancelled, BadState (disk full) and OutOfRange; then the store is as it was.
        """
        name = " ".join(name.split())[:LONGEST_NAME] if name else None
        private_folder(self.root)
        with staging(self.root) as stage, importer.opened([Path(path) for path in paths]) as files:
            answer = importer.run("voices", files, stage, name, progress, cancelled)

            def tell(reason: str) -> None:
                if left_out:
                    left_out(reason)
                else:
                    log.warning("left out: %s", reason)

            for reason in answer.skipped:
                tell(reason)
            if not answer.done.get("voices"):
                return [self._join(stage, answer.done)]
            for folder, index in answer.done["joined"].items():
                os.rename(stage / "loose" / _plain(index), stage / "out" / _plain(folder) / INDEX)
            return self._settle(stage / "out", name, tell)

    def remembered(self, wanted: str) -> dict[str, Any]:
        """The controls kept for a voice; none where there are none or they cannot be read."""
        try:
            found = json.loads((self.get(wanted).folder / SETTINGS).read_bytes())
            return {known_name(key): value for key, value in found.items() if _valid(key, value)}
        except (OSError, ValueError, AttributeError, RecursionError):
            return {}

    def remember(self, wanted: str, settings: Mapping[str, Any]) -> None:
        """Adds to what is kept for a voice; None forgets a control.

        Raises NoSuchVoice, NoSuchControl, OutOfRange and BadState; then nothing is changed.
        """
        card = self.get(wanted)
        wanted_now = {known_name(key): value for key, value in settings.items()}
        kept = self.remembered(card.id) | wanted_now
        kept = {key: value for key, value in kept.items() if value is not None}
        checked = changed(Controls(), kept)
        write_atomic(
            card.folder / SETTINGS, json.dumps({key: getattr(checked, key) for key in kept}, indent=1).encode()
        )

    def _folders(self) -> Sequence[Path]:
        try:
            return [one for one in sorted(self.root.iterdir()) if one.is_dir() and not one.name.startswith(".")]
        except FileNotFoundError:
            return []

    def _settle(self, out: Path, name: str | None, tell: Tell) -> Cards:
        """Moves what the child made into place, each voice in one step. The child is not believed unchecked."""
        ready = sorted(out.iterdir(), key=lambda folder: int(_plain(folder.name)))
        cards = [_checked(folder) for folder in ready]
        here = {card.sha256: card for card in reversed(self.list()) if name in (None, card.name)}
        settled, made = [], []
        try:
            for card in cards:
                if card.sha256 in here:
                    settled.append(self._renew(here[card.sha256], card, tell))
                    continue
                make_private(card.folder)
                made.append(self._place(card))
                settled.append(made[-1])
            sync_folder(self.root)
        except OSError as error:
            for folder in made:
                shutil.rmtree(folder, ignore_errors=True)
            raise disk_error(self.root, error) from None
        return [read_card(folder) for folder in dict.fromkeys(settled)]

    def _renew(self, here: VoiceCard, again: VoiceCard, tell: Tell) -> Path:
        """The same file came again: what is here stays, but an index that came with it is taken."""
        tell(f"{again.origin} is here already as '{here.id}', the same file: --name NAME makes a second voice of it")
        if again.index:
            self._give_index(here, again.index)
        return here.folder

    def _give_index(self, card: VoiceCard, index: Path) -> None:
        """In one step; the note that it was missing is over."""
        os.chmod(index, PRIVATE_FILE)
        os.replace(index, card.folder / INDEX)
        sync_folder(card.folder)
        if any(note.startswith(INDEX_NOTE) for note in card.notes):
            facts = json.loads((card.folder / CARD).read_bytes())
            facts["notes"] = [note for note in card.notes if not note.startswith(INDEX_NOTE)]
            write_atomic(card.folder / CARD, card_bytes(facts))

    def _place(self, card: VoiceCard) -> Path:
        while True:
            folder = self.root / free_id(card.name, (one.name for one in self._folders()))
            try:
                os.rename(card.folder, folder)
                return folder
            except OSError:
                if not folder.exists():  # or another process took the id just now: the next one
                    raise

    def _join(self, stage: Path, done: dict[str, Any]) -> VoiceCard:
        """An index that came alone goes to the stored voice of its width and name."""
        (loose, *more) = done["loose"]
        if more:
            raise BadModel("several indexes and no voice: import each together with its .pth")
        cards = [card for card in self.list() if card.kind == "rvc"]
        things = [Thing(card.name, "", width_of(card.version)) for card in cards]
        stem = Path(str(loose["name"])).stem
        pairs = pair(things, [Thing(stem, "", loose["width"])], together=False)
        if not pairs:
            raise BadModel(
                f"{loose['name']} ({loose['width']} wide) fits no imported voice by width and name: "
                "import it together with its .pth"
            )
        card = cards[next(iter(pairs))]
        path = stage / "loose" / _plain(loose["path"])
        plain_file(path)
        self._give_index(card, path)
        return read_card(card.folder)


def _valid(key: str, value: Any) -> bool:
    """Whether this version still knows a control that an older or newer one has kept."""
    try:
        changed(Controls(), {key: value})
    except (NoSuchControl, OutOfRange):
        return False
    return True


def _hint(wanted: str, cards: Sequence[VoiceCard]) -> str:
    known = [card.id for card in cards]
    names = list(dict.fromkeys([*known, *(card.name for card in cards)]))
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(known[:10])}" if known else "none is imported yet; `rwcctl import FILE` brings one in"


def _checked(folder: Path) -> VoiceCard:
    for path in folder.iterdir():
        if path.name not in (CARD, INDEX, *WEIGHTS.values()):
            raise BadModel("the import made a file that no voice has: nothing was imported")
        plain_file(path)
    return read_card(folder)


def _plain(name: object) -> str:
    """A name that the child gave, free of any path."""
    if not isinstance(name, str) or not name or "/" in name or name.startswith("."):
        raise BadModel("the import gave a name that is none: nothing was imported")
    return name
