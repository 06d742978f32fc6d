"""All voices of this user in one place: the built-in ones and the imported ones."""

from __future__ import annotations

import difflib
import tempfile
from functools import cached_property
from pathlib import Path

from rwc_daemon import extras
from rwc_daemon.errors import NoSuchVoice
from rwc_daemon.store.assets import Assets
from rwc_daemon.store.voices import VoiceCard, VoiceStore
from rwc_daemon.voices.base import Voice, VoiceInfo
from rwc_daemon.voices.builtin.voice import BUILTIN, load_builtin
from rwc_daemon.voices.described import info_of


class VoiceRepository:
    """Finds and loads voices by id or name; `data_dir` holds `voices/` and `assets/`, `weight_bits` is for
    `RvcVoice.load`."""

    def __init__(self, data_dir: Path, weight_bits: int = 16) -> None:
        self._data_dir, self._weight_bits = data_dir, weight_bits

    @cached_property
    def store(self) -> VoiceStore:
        return VoiceStore(self._data_dir / "voices")

    @cached_property
    def assets(self) -> Assets:
        return Assets(self._data_dir / "assets")

    def list(self) -> list[VoiceInfo]:
        """Built-in voices first, then the user's by name."""
        return [*BUILTIN.values(), *(self.describe(card) for card in self.store.list())]

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
        if info.kind == "builtin":
            return load_builtin(info.id)
        return self._load_stored(self.store.get(info.id), device)

    def load_file(self, model: Path, index: Path | None = None, device: str = "auto") -> Voice:
        """A voice straight from a file, through the same sandboxed import, without keeping it."""
        with tempfile.TemporaryDirectory(prefix="rwc-voice-") as folder:
            cards = VoiceStore(Path(folder)).bring_in([model, index] if index else [model])
            return self._load_stored(cards[0], device)

    def _load_stored(self, card: VoiceCard, device: str) -> Voice:
        # torch is imported here and nowhere earlier: the daemon and built-in voices live without it
        extras.require("torch", "an RVC voice")
        from rwc_daemon.voices.rvc.voice import RvcVoice

        return RvcVoice.load(card, self.assets, device, weight_bits=self._weight_bits)
