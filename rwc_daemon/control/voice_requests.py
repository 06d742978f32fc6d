"""Who waits for a voice: answered when it converts, or with what is against it."""

from __future__ import annotations

import asyncio
from math import inf

from rwc_daemon.errors import RwcError, Superseded


class VoiceRequests:
    """The newest request for a voice and all who wait for it. Call it from the event loop's thread."""

    def __init__(self) -> None:
        self._voice = ""
        self._waiting: list[tuple[int, asyncio.Future[str]]] = []

    def begin(self, voice: str, number: int, waiting: asyncio.Future[str] | None) -> None:
        """`voice` is asked for by the LoadVoice of this number, and `waiting` gets its id. Who waits for another one
        hears that this one came after."""
        if voice != self._voice:
            self.fail(self._voice, Superseded(f"'{self._voice}' was not loaded: '{voice}' was asked for after it"))
        self._voice = voice
        if waiting is not None:
            self._waiting.append((number, waiting))

    def converts(self, voice: str, number: int) -> None:
        """`voice` converts as was asked up to this number; nothing happens where another one is awaited."""
        for waiting in self._taken(voice, number):
            waiting.set_result(voice)

    def fail(self, voice: str, why: RwcError, number: float = inf) -> None:
        """`voice` does not come as was asked up to this number; nothing happens where another one is awaited."""
        for waiting in self._taken(voice, number):
            waiting.set_exception(why)

    def fail_all(self, why: RwcError) -> None:
        """No voice comes."""
        self.fail(self._voice, why)

    def _taken(self, voice: str, number: float) -> list[asyncio.Future[str]]:
        if voice != self._voice:
            return []
        taken = [waiting for asked, waiting in self._waiting if asked <= number]
        self._waiting = [(asked, waiting) for asked, waiting in self._waiting if asked > number]
        return [waiting for waiting in taken if not waiting.done()]  # done: whoever waited has gone
