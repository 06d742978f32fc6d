"""Tells how the daemon before this one ended, if nobody had asked it to.

A note in the runtime folder lasts as long as the daemon: an orderly end takes it away, logout takes the folder away. A
daemon that finds one knows that the one before was killed or failed. Why stands in the note, as its last words, or in
the file that systemd leaves beside it (`ExecStopPost=` of rwc-daemon.service; systemd.exec(5), $SERVICE_RESULT).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
RESULTS = {"watchdog": "stood still, and systemd replaced it", "oom-kill": "was killed for want of memory"}
UNKNOWN = "ended without being asked to"
LONGEST = 1000  # bytes that are read of either file


class Lifetime:
    """Of one daemon; only who owns the name on the bus may `begin`."""

    def __init__(self, folder: Path) -> None:
        """`folder`: short-lived, and the user's alone (`paths.runtime_dir`)."""
        self._note, self._result = folder / "running", folder / "ended"

    def begin(self) -> str:
        """Returns what became of the daemon before: "was killed (SIGKILL)", …; empty where it ended as it should or
        never was. A folder that cannot be written is no reason not to run."""
        before = self._before()
        with suppress(OSError):
            self._note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._note.write_text(f"{os.getpid()} {_boot()}\n")
            self._result.unlink(missing_ok=True)
        return before

    def last_words(self, text: str) -> None:
        """Notes why this one ends unasked: "lost the session bus", for the next one to tell."""
        with suppress(OSError):
            self._note.write_text(f"{os.getpid()} {_boot()}\n{text}")

    def end(self) -> None:
        """Notes that this one was asked to stop."""
        with suppress(OSError):
            self._note.unlink(missing_ok=True)

    def _before(self) -> str:
        first, _, words = _read(self._note).partition("\n")
        pid, _, boot = first.partition(" ")
        if not pid.isdigit() or boot != _boot() or _read(Path(f"/proc/{pid}/cmdline")):
            return ""  # none, one of another run of this machine, or one that lives, on another bus
        return words or _told_by_systemd(_read(self._result))


def _told_by_systemd(line: str) -> str:
    """`SERVICE_RESULT EXIT_STATUS`: "signal KILL", "watchdog ABRT", "exit-code 1"."""
    result, _, status = line.strip().partition(" ")
    if result in ("signal", "core-dump"):
        return f"was killed (SIG{status})" if result == "signal" else f"crashed (SIG{status})"
    return RESULTS.get(result, UNKNOWN)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST).decode(errors="replace")
    except OSError:
        return ""


def _boot() -> str:
    """Returns the id of this boot."""
    return _read(BOOT).strip()
