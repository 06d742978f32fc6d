"""Saves soon after the last change, not at each: a turned control writes the file once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rwc_daemon.control.faults import Faults
from rwc_daemon.errors import RwcError

SOON_S = 0.3
AGAIN_S = 30.0
PLACE = "state"


class Saver:
    """`write` runs in a thread and may raise BadState: then it is a fault and is tried again."""

    def __init__(self, prepare: Callable[[], Callable[[], None]], faults: Faults) -> None:
        """`prepare`: takes a picture of what is to be saved and answers with the writing of it."""
        self._prepare, self._faults = prepare, faults
        self._task: asyncio.Task[None] | None = None
        self._unsaved = False

    def changed(self) -> None:
        self._unsaved = True
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._later(), name="saver")

    async def stop(self) -> None:
        """Saves what is not saved yet."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._unsaved:
            await self._save()

    async def _later(self) -> None:
        await asyncio.sleep(SOON_S)
        while not await self._save() or self._unsaved:
            await asyncio.sleep(AGAIN_S if self._faults.stands(PLACE) else SOON_S)
        self._task = None

    async def _save(self) -> bool:
        self._unsaved = False
        try:
            await asyncio.shield(asyncio.to_thread(self._prepare()))
        except RwcError as failed:
            self._unsaved = True
            self._faults.begin_with(PLACE, failed)
            return False
        self._faults.end(PLACE)
        return True
