"""The catalogue of support files, read from the TOML that travels with the package."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from rwc_daemon.errors import BadSettings

HOST = "https://huggingface.co"
HOST_VARIABLE = "RWC_ASSETS_URL"  # another host with the same paths: a mirror, or a test's own server


@dataclass(frozen=True)
class Entry:
    """One support file as the catalogue knows it."""

    name: str
    purpose: str
    bytes: int
    """Of the download."""
    sha256: str
    licence: str
    places: tuple[str, ...]
    """Paths below the host, the first one preferred."""
    known: frozenset[str]
    """sha256 of every file that is right for this purpose."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Where to fetch it. Raises BadSettings where RWC_ASSETS_URL is no web address."""
        host = os.environ.get(HOST_VARIABLE, HOST).rstrip("/")
        if urlsplit(host).scheme not in ("http", "https"):
            raise BadSettings(f"{HOST_VARIABLE}='{host}' is no web address: write http://… or https://…")
        return tuple(f"{host}/{place}" for place in self.places)


def packaged() -> dict[str, Entry]:
    """The catalogue that came with this version, by name."""
    return parse(resources.files("rwc_daemon.store").joinpath("catalog.toml").read_text("utf-8"))


def parse(text: str) -> dict[str, Entry]:
    return {name: _entry(name, facts) for name, facts in tomllib.loads(text).items()}


def _entry(name: str, facts: Mapping[str, Any]) -> Entry:
    places = [facts, *facts.get("mirrors", [])]
    return Entry(
        name=name,
        purpose=facts["purpose"],
        bytes=facts["bytes"],
        sha256=facts["sha256"],
        licence=facts["licence"],
        places=tuple(f"{place['repository']}/resolve/main/{place['path']}" for place in places),
        known=frozenset({facts["sha256"], *(one["sha256"] for one in facts.get("known", []))}),
    )
