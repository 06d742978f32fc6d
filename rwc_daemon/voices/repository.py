"""All voices of this user in one place: those that come with the package and those of the user's library."""

from __future__ import annotations

import difflib
import importlib
import tempfile
from functools import cached_property
from pathlib import Path

from rwc_daemon import extras
from rwc_daemon.errors import NoSuchVoice
from rwc_daemon.families import FAMILIES, shipped
from rwc_daemon.store.assets import Assets
from rwc_daemon.store.voices import VoiceCard, VoiceStore
from rwc_daemon.voices.base import Voice, VoiceInfo, VoiceSource
from rwc_daemon.voices.described import info_of

SHIPPED = tuple(VoiceInfo(id, FAMILIES[kind].ships[id], kind) for id, kind in shipped().items())


class VoiceRepository:
    """Finds and loads voices by id or name; `data_dir` holds `voices/` and `assets/`, `weight_bits` is for
    `VoiceSource`."""

    def __init__(self, data_dir: Path, weight_bits: int = 16) -> None:
        self._data_dir, self._weight_bits = data_dir, weight_bits

    @cached_property
    def store(self) -> VoiceStore:
        return VoiceStore(self._data_dir / "voices")

    @cached_property
    def assets(self) -> Assets:
        return Assets(self._data_dir / "assets")

    def list(self) -> list[VoiceInfo]:
        """Returns the voices of the package, then the user's by name."""
        return [*SHIPPED, *(self.describe(card) for card in self.store.list())]

    def describe(self, card: VoiceCard) -> VoiceInfo:
        return info_of(card, self.assets)

    def find(self, wanted: str) -> VoiceInfo:
        """A voice by id, or by name where that is unique. Raises NoSuchVoice with the nearest ids."""
        voices = self.list()
        by_id = {voice.id: voice for voice in voices}
        if wanted in by_id:
            return by_id[wanted]
        named = [voice for voice in voices if voice.name.casefold() == wanted.casefold()]
        if len(named) == 1:
            return named[0]
        if named:
            raise NoSuchVoice(f"several voices are named '{wanted}': use the id, {' or '.join(v.id for v in named)}")
        near = difflib.get_close_matches(wanted, by_id, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(by_id)}"
        raise NoSuchVoice(f"no voice '{wanted}': {hint}")

    def load(self, wanted: str, device: str = "auto") -> Voice:
        """The voice with its weights. Raises NoSuchVoice, BadModel, MissingAsset, MissingPackage."""
        info = self.find(wanted)
        return self._loaded(info, None if info.id in shipped() else self.store.get(info.id), device)

    def load_file(self, model: Path, index: Path | None = None, device: str = "auto") -> Voice:
        """A voice straight from a file, through the same sandboxed import, without keeping it."""
        with tempfile.TemporaryDirectory(prefix="rwc-voice-") as folder:
            cards = VoiceStore(Path(folder)).bring_in([model, index] if index else [model])
            return self._loaded(self.describe(cards[0]), cards[0], device)

    def _loaded(self, info: VoiceInfo, card: VoiceCard | None, device: str) -> Voice:
        row = FAMILIES[info.kind]
        for package in row.packages:
            extras.require(package, row.title)
        # a family's module is imported here and nowhere earlier: the daemon and light voices live without torch
        module = importlib.import_module(f"rwc_daemon.voices.{row.module}")
        voice: Voice = module.load(VoiceSource(info, card, self.assets, device, self._weight_bits))
        return voice
