"""Controls that belong to a voice: an imported voice comes back with the pitch it was left with.

Built-in voices share one common setting. All other controls belong to the user, not to a voice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from rwc_daemon.controls import Controls, changed
from rwc_daemon.errors import NoSuchVoice, RwcError

log = logging.getLogger(__name__)

REMEMBERED = ("pitch", "formant", "index_rate", "f0_method", "f0_gaps", "speaker")


class SettingsStore(Protocol):
    """What this needs of the voice store."""

    def remembered(self, voice: str) -> Mapping[str, Any]: ...

    def remember(self, voice: str, settings: dict[str, Any]) -> None: ...


class VoiceSettings:
    """`voice` is the id of an imported voice, or empty for all built-in ones."""

    def __init__(self, store: SettingsStore, common: Mapping[str, Any], on: bool) -> None:
        self._store, self._on = store, on
        self.common = dict(common)
        self._voice = ""

    def keep(self, controls: Controls) -> None:
        """Writes down the controls of the voice that plays. Raises BadState."""
        kept = {name: getattr(controls, name) for name in REMEMBERED}
        if not self._on or not self._voice:
            self.common = kept
        else:
            with suppress(NoSuchVoice):  # removed meanwhile
                if dict(self._store.remembered(self._voice)) != kept:
                    self._store.remember(self._voice, kept)

    def turn_to(self, voice: str, controls: Controls) -> Controls:
        """The controls to go on with, now that `voice` plays; unchanged where nothing is remembered."""
        before, self._voice = self._voice, voice
        if not self._on or voice == before:
            return controls
        try:
            return changed(controls, dict(self._store.remembered(voice)) if voice else self.common)
        except RwcError as bad:
            log.warning("what was remembered for '%s' is not used: %s", voice, bad)
            return controls
