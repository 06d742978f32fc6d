"""The files of one import, open, with the names to speak of them."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from rwc_daemon.errors import BadModel, RwcError, Unsupported
from rwc_daemon.store.archive import unpack
from rwc_daemon.store.kinds import Container
from rwc_daemon.store.names import legible
from rwc_daemon.store.recognise import container_of

SUFFIXES = (".pth", ".pt", ".bin", ".safetensors", ".onnx", ".index")
GENERIC = ("model", "voice", "weights", "g", "rvc", "final", "0", "")  # names that name nothing


@dataclass(frozen=True)
class Source:
    """One file to look into."""

    file: BinaryIO
    name: str
    """Of the file, for messages and the card."""
    folder: str
    """Of the file, or the zip it came in."""
    named: bool
    """The user named this very file, so it must be of use."""

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem


def sources_of(request: dict[str, Any]) -> list[Source]:
    """The open files that the parent handed over."""
    return [
        Source(os.fdopen(one["fd"], "rb"), legible(one["name"]), legible(one["folder"]), one["named"])
        for one in request["files"]
    ]


class naming:
    """Puts the name of the file in front of what goes wrong inside."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in (errno.EINVAL, errno.EOVERFLOW):
            error = BadModel("the file is damaged: get it again")  # a place that no file has
        if isinstance(error, (BadModel, Unsupported)):
            raise type(error)(f"{self._source.name}: {error}") from None


def container(source: Source) -> Container | None:
    """How the file is packed; None for what is no model."""
    try:
        with naming(source):
            return container_of(source.file)
    except RwcError:
        return None  # said later, when the file's turn comes


def unpacked(source: Source, place: Path) -> list[Source]:
    """The models of a zip, unpacked into `place`. Raises BadModel or Unsupported."""
    place.mkdir()
    members = unpack(source.file, place, lambda name: name.lower().endswith(SUFFIXES))
    if not members:
        raise BadModel("the zip holds no .pth, .safetensors, .onnx or .index: check what was downloaded")
    names = [PurePosixPath(legible(member.name)) for member in members]
    return [
        Source(member.path.open("rb"), name.name, f"{source.stem}/{name.parent}".removesuffix("/."), False)
        for member, name in zip(members, names, strict=True)
    ]


def name_of(source: Source, said: str) -> str:
    """The file's name; where that names nothing, what the file calls itself, or the folders it lay in."""
    folders = reversed(PurePosixPath(source.folder).parts)
    telling = [name for name in (source.stem, said, *folders) if name.lower() not in GENERIC]
    return " ".join(telling[0][:80].split()) if telling else source.stem or "voice"
