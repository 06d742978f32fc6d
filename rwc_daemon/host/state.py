"""What the daemon remembers by itself, in state.json: controls, voice, input, mode.

Written whole (temporary file, fsync, rename, 0600), so that a crash or a full disk leaves the old file. A file that
cannot be understood is set aside as state.json.damaged-N, and the defaults take over.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rwc_daemon.controls import CHOICES, MODES, NAMES, Controls, changed, to_dict
from rwc_daemon.errors import BadState, NoSuchControl, OutOfRange

CHANNELS = ("auto", "left", "right", "mix")
DEFAULT_INPUT = "default"
LARGEST_BYTES = 1 << 20
DAMAGED_KEPT = 9
LONGEST_WHY = 200  # characters: what is damaged may be long


@dataclass(frozen=True)
class Saved:
    """One state of the file."""

    voice: str = ""
    """Empty: none was chosen yet."""
    input: str = DEFAULT_INPUT
    """Node name of the microphone, or "default"."""
    mode: str = "convert"
    controls: Controls = field(default_factory=Controls)
    common: dict[str, Any] = field(default_factory=dict)
    """What built-in voices use of the controls that imported voices remember each for itself."""
    channel: str = ""
    """Of a stereo microphone; empty: as the setting audio.channel says."""

    def mode_after(self, pin_bypass: bool) -> str:
        """Of the next start: bypass outlives a restart only where the settings say so."""
        return "convert" if self.mode == "bypass" and not pin_bypass else self.mode


class StateFile:
    """`load` once, then `save` whenever something changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: Saved | None = None

    def load(self) -> tuple[Saved, str]:
        """The saved state and, where it was damaged or unreadable, one sentence about that."""
        try:
            saved = _parse(self._read())
        except FileNotFoundError:
            return Saved(), ""
        except OSError as failed:
            return Saved(), f"{self._path} cannot be read ({failed.strerror}): defaults are used; fix its permissions"
        except (ValueError, TypeError, RecursionError, NoSuchControl, OutOfRange) as bad:
            why = " ".join(str(bad).split())[:LONGEST_WHY]
            return Saved(), f"{self._path} was damaged ({why}): defaults are used; {self._set_aside()}"
        self._written = saved
        return saved, ""

    def save(self, saved: Saved) -> None:
        """Raises BadState; the old file is intact then."""
        if saved == self._written:
            return
        text = json.dumps({"format": 1, **_to_json(saved)}, indent=1)
        try:
            self._write(text.encode())
        except OSError as failed:
            raise BadState(
                f"cannot write {self._path} ({failed.strerror}): free some space or fix its permissions; "
                "the last saved state is kept"
            ) from failed
        self._written = saved

    def _read(self) -> Any:
        """Not following a link to a pipe or device, and never more than a state can be."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("it is not a plain file")
            content = file.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise ValueError("it is larger than a state can be")
        return json.loads(content)

    def _write(self, content: bytes) -> None:
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".state-", dir=folder)  # mkstemp makes it 0600
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.replace(name, self._path)
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            raise

    def _set_aside(self) -> str:
        for number in range(1, DAMAGED_KEPT + 1):
            aside = self._path.with_name(f"{self._path.name}.damaged-{number}")
            if not aside.exists() or number == DAMAGED_KEPT:
                break
        try:
            os.replace(self._path, aside)
        except OSError as failed:
            return f"it could not be set aside ({failed.strerror})"
        return f"the old file is {aside.name}"


def _to_json(saved: Saved) -> dict[str, Any]:
    return {
        "voice": saved.voice,
        "input": saved.input,
        "channel": saved.channel,
        "mode": saved.mode,
        "controls": to_dict(saved.controls),
        "common": saved.common,
    }


def _parse(tree: Any) -> Saved:
    """Strict about what it uses, silent about what a newer version may have added."""
    if not isinstance(tree, dict):
        raise ValueError("it holds no table")
    saved = Saved()
    texts = {name: tree.get(name, getattr(saved, name)) for name in ("voice", "input", "channel", "mode")}
    for name, text in texts.items():
        if not isinstance(text, str) or len(text) > 1000:
            raise ValueError(f"'{name}' is no text")
    if texts["mode"] not in MODES:
        raise ValueError(f"mode '{texts['mode']}' is none of {', '.join(MODES)}")
    if texts["channel"] not in ("", *CHANNELS):
        raise ValueError(f"channel '{texts['channel']}' is none of {', '.join(CHANNELS)}")
    common = _known(tree.get("common", {}))
    changed(Controls(), common)
    return replace(saved, **texts, controls=changed(Controls(), _known(tree.get("controls", {}))), common=common)


def _known(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ValueError("controls are no table")
    return {name: value for name, value in values.items() if name in NAMES and (name not in CHOICES or _is_text(value))}


def _is_text(value: Any) -> bool:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no choice")
    return True
