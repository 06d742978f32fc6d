"""Which voice is wanted, which one plays, and which one to fall back to. Pure bookkeeping: no process, no clock.

The way back is always to a voice that converts: the last good one, then the built-in one of the settings, then `deep`.
Never to `plain`, unless the user named it.
"""

from __future__ import annotations

from dataclasses import dataclass

LAST_RESORT = ("deep", "bright", "robot")
DEADLY = 2  # so many engine deaths condemn a voice


@dataclass(frozen=True)
class Fallback:
    """What follows from a failure."""

    voice: str
    """The one to load now."""
    blamed: str = ""
    """The one given up; empty: none was."""


class VoiceSelection:
    """Ids of voices; empty means none."""

    def __init__(self, wanted: str, first: str) -> None:
        self.wanted = wanted or first
        # what the user asked for last (or what took its place)
        self.playing = ""
        # the last one that the engine confirmed; kept over an engine's death
        self.loading = self.wanted
        # asked for and not yet confirmed
        self._first = first
        self._good: list[str] = []
        self._deaths: dict[str, int] = {}

    def ask(self, voice: str) -> None:
        """The user's word: it wipes what was held against the voice."""
        self._deaths.pop(voice, None)
        self.wanted = self.loading = voice

    def forget(self, voice: str) -> None:
        """It was removed from the repository."""
        self._good = [other for other in self._good if other != voice]

    def on(self, voice: str) -> None:
        """The engine plays it."""
        self.playing = voice
        if voice == self.loading:
            self.loading = ""

    def proved(self) -> None:
        """What plays has done so for a while without harm."""
        self._deaths.pop(self.playing, None)
        if self.playing and self.playing not in self._good[-1:]:
            self._good = [*(voice for voice in self._good if voice != self.playing), self.playing][-4:]

    def failed(self, voice: str, engine_plays: str) -> Fallback | None:
        """`voice` could not be loaded; `engine_plays`: what this engine converts with now, empty for nothing.
        None: it was not awaited any more, or another one plays on."""
        if voice != self.loading and voice != self.wanted:
            return None
        self.loading = ""
        if engine_plays and engine_plays != voice:
            self.wanted = engine_plays
            return None
        return self._instead_of(voice)

    def died(self, own_fault: bool) -> Fallback:
        """The engine died: what the next one loads."""
        suspect = self.loading or self.playing or self.wanted
        if own_fault:
            self._deaths[suspect] = self._deaths.get(suspect, 0) + 1
        if self._deaths.get(suspect, 0) >= DEADLY:
            return self._instead_of(suspect)
        self.loading = self.loading or self.wanted
        return Fallback(self.wanted)

    def _instead_of(self, voice: str) -> Fallback:
        condemned = {voice, *(other for other, deaths in self._deaths.items() if deaths >= DEADLY)}
        candidates = [*reversed(self._good), self._first, *LAST_RESORT]
        self.wanted = next((other for other in candidates if other not in condemned), LAST_RESORT[0])
        self.loading = self.wanted
        return Fallback(self.wanted, blamed=voice)
