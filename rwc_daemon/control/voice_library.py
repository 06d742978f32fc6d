"""Voices on the repository: listed, brought in, removed. What reads or writes much runs in a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rwc_daemon.control.jobs import Jobs, Progress
from rwc_daemon.errors import BadModel, Busy, OutOfRange, Unsupported
from rwc_daemon.families import shipped
from rwc_daemon.voices.base import VoiceInfo
from rwc_daemon.voices.repository import VoiceRepository

log = logging.getLogger(__name__)

LONGEST_NAME = 100
MOST_LINES = 50  # files left out that an import tells of
OPTIONS = ("name", "also")


class VoiceLibrary:
    """The repository for faces."""

    def __init__(self, repository: VoiceRepository, jobs: Jobs, in_use: Callable[[], set[str]]) -> None:
        """`in_use`: the ids of voices that cannot be removed."""
        self._repository, self._jobs, self._in_use = repository, jobs, in_use

    async def list(self) -> list[VoiceInfo]:
        return await asyncio.to_thread(self._repository.list)

    def bring_in(self, path: str, options: Mapping[str, Any]) -> int:
        """A job; its result is the ids of the voices, and a line for each file that was left out.

        `options`: `name`, and `also`: further paths of the same import (a voice's index). Raises OutOfRange, BadModel,
        Busy.
        """
        name = _name_of(options)
        paths = [_whole(one) for one in (path, *_also_of(options))]

        def work(progress: Progress, cancelled: Any) -> str:
            lines: list[str] = []

            def left_out(reason: str) -> None:
                log.warning("left out: %s", reason)
                lines.append(reason)

            cards = self._repository.store.bring_in(paths, name, progress, cancelled, left_out=left_out)
            return "\n".join([" ".join(card.id for card in cards), *lines[:MOST_LINES]])

        return self._jobs.start(work)

    async def remove(self, wanted: str) -> str:
        """Its id. Raises NoSuchVoice; Busy for the voice in use, Unsupported for a built-in one."""
        info = await asyncio.to_thread(self._repository.find, wanted)
        if info.id in shipped():
            raise Unsupported(f"'{info.id}' is built in and cannot be removed")
        if info.id in self._in_use():
            raise Busy(f"'{info.id}' is in use: switch to another voice first, for instance 'rwcctl use deep'")
        await asyncio.to_thread(self._repository.store.remove, info.id)
        return info.id


def _whole(path: str) -> Path:
    if not path.startswith("/") or "\0" in path:
        raise BadModel(f"'{path[:200]}' is not a whole path: begin it with /")
    return Path(path)


def _also_of(options: Mapping[str, Any]) -> list[str]:
    also = options.get("also", [])
    if isinstance(also, list) and all(isinstance(one, str) for one in also):
        return also
    raise OutOfRange("the option 'also' is a list of paths")


def _name_of(options: Mapping[str, Any]) -> str | None:
    unknown = [key for key in options if key not in OPTIONS]
    if unknown:
        raise OutOfRange(f"no import option '{unknown[0][:60]}'; known: {', '.join(OPTIONS)}")
    name = options.get("name")
    if name is None or (isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()):
        return name
    raise OutOfRange(f"the option 'name' is a text of 1 to {LONGEST_NAME} printable characters")
