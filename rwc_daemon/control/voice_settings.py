"""Controls that belong to a voice: an imported voice comes back with the pitch it was left with.

Built-in voices share one common setting. All other controls belong to the user, not to a voice (`controls.REMEMBERED`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from rwc_daemon.controls import REMEMBERED, Controls, changed
from rwc_daemon.errors import NoSuchVoice, RwcError
from rwc_daemon.families import shipped

log = logging.getLogger(__name__)

DEFAULTS = {name: getattr(Controls(), name) for name in REMEMBERED}
COMMON = ""  # the key of what all built-in voices share


class SettingsStore(Protocol):
    """What this needs of the voice store."""

    def remembered(self, voice: str) -> Mapping[str, Any]: ...

    def remember(self, voice: str, settings: dict[str, Any]) -> None: ...


class VoiceSettings:
    """Which controls each voice has: the one that plays, the one that is being loaded, and those that played before."""

    def __init__(self, store: SettingsStore, common: Mapping[str, Any], on: bool, playing: str = "") -> None:
        """`on` False: every voice goes on with the controls of the one before. `playing`: the voice that the controls
        at the start belong to."""
        self._store, self._on = store, on
        self._noted: dict[str, dict[str, Any]] = {COMMON: dict(common)}  # newest, whether written down or not
        self._written: dict[str, dict[str, Any]] = {}
        self._playing = _key(playing)
        self._asked, self._turned = "", dict[str, Any]()

    @property
    def common(self) -> dict[str, Any]:
        """What built-in voices share."""
        return self._noted[COMMON]

    def ask(self, voice: str, turned: Mapping[str, Any]) -> None:
        """`voice` is to be loaded, and begins with these controls above its own."""
        self._asked, self._turned = voice, dict(turned)

    def turn(self, turned: Mapping[str, Any]) -> None:
        """The user has turned these while the voice is being loaded: they win over what it was left with."""
        self._turned |= turned

    def of(self, voice: str, controls: Controls) -> Controls:
        """The controls of `voice` when it plays next; those that belong to no voice are as in `controls`."""
        turned = self._turned if voice == self._asked else {}
        try:
            return changed(controls, {**self._own(voice), **turned})
        except RwcError as bad:
            log.warning("what was remembered for '%s' is not used: %s", voice, bad)
            return changed(controls, turned)

    def play(self, voice: str) -> None:
        """`voice` plays from now on."""
        self._playing = _key(voice)
        if voice == self._asked:
            self._asked, self._turned = "", {}

    def note(self, controls: Controls) -> None:
        """The playing voice has these controls now; `writing` writes them down."""
        self._noted[self._playing if self._on else COMMON] = {name: getattr(controls, name) for name in REMEMBERED}

    def forget(self, voice: str) -> None:
        """It was removed from the store."""
        self._noted.pop(voice, None)
        self._written.pop(voice, None)

    def writing(self) -> Callable[[], None]:
        """Writes down what imported voices have now; runs in any thread. It raises BadState."""
        noted = {voice: kept for voice, kept in self._noted.items() if voice != COMMON}

        def write() -> None:
            for voice, kept in noted.items():
                if self._written.get(voice) == kept:
                    continue
                with suppress(NoSuchVoice):  # removed meanwhile
                    self._store.remember(voice, kept)
                self._written[voice] = kept

        return write

    def _own(self, voice: str) -> Mapping[str, Any]:
        """What `voice` was left with, and where that says nothing the defaults: what the voice before had (another
        speaker, another pitch) does not suit it. Nothing for the voice that plays: it has what it has."""
        key = _key(voice)
        if not self._on or key == self._playing:
            return {}
        return {**DEFAULTS, **(self._noted.get(key) or self._remembered(key))}

    def _remembered(self, key: str) -> Mapping[str, Any]:
        with suppress(NoSuchVoice):  # that will be said where it is loaded
            return self._store.remembered(key) if key != COMMON else {}
        return {}


def _key(voice: str) -> str:
    return COMMON if voice in shipped() else voice
