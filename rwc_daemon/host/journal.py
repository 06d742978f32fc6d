"""Sends log lines where they belong: the journal's own socket, a journal-connected stderr, or a terminal.

`event(log, ENGINE_DOWN, "…", RWC_PID=7)` is a line with a fixed MESSAGE_ID, so that `journalctl MESSAGE_ID=…` finds
every one of its kind, and with RWC_… fields beside the text.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any

# one identity per kind of event, fixed for ever (systemd's catalog)
ENGINE_UP = "1d3d2f1c9b0a4f8f8a58b1d0c7f1a201"
ENGINE_DOWN = "1d3d2f1c9b0a4f8f8a58b1d0c7f1a202"
VOICE_ON = "1d3d2f1c9b0a4f8f8a58b1d0c7f1a203"
MICROPHONE = "1d3d2f1c9b0a4f8f8a58b1d0c7f1a204"
XRUNS = "1d3d2f1c9b0a4f8f8a58b1d0c7f1a205"
FAULT = "1d3d2f1c9b0a4f8f8a58b1d0c7f1a206"
MODE = "1d3d2f1c9b0a4f8f8a58b1d0c7f1a207"
LISTENER = "1d3d2f1c9b0a4f8f8a58b1d0c7f1a208"
FAULT_OVER = "1d3d2f1c9b0a4f8f8a58b1d0c7f1a209"
INPUT = "1d3d2f1c9b0a4f8f8a58b1d0c7f1a20a"
GRAPH = "1d3d2f1c9b0a4f8f8a58b1d0c7f1a20b"

PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
BURST = 20
BURST_S = 5.0


def event(log: logging.Logger, kind: str, text: str, level: int = logging.INFO, **details: Any) -> None:
    """Logs a line of a known kind; `details` are journal fields, named RWC_…."""
    log.log(level, "%s", text, extra={"message_id": kind, "details": details})


def set_up(level: str, plain: bool = False) -> None:
    """Sets up the root logger of this process. `level`: debug, info, warning or error. `plain`: for a terminal,
    always."""
    root = logging.getLogger()
    root.handlers = [_terminal(level) if plain or not stderr_is_journal() else _journal()]
    root.handlers[0].addFilter(Burst())
    root.setLevel(level.upper())


def where_details_are() -> str:
    """Of an error whose log line has a traceback."""
    if stderr_is_journal():
        return "'rwcctl logs' has the details"
    return "RWC_LOGGING_LEVEL=debug shows the details" if sys.stderr.isatty() else "the details follow"


class Burst(logging.Filter):
    """At most 20 lines of one place within 5 s; the first one after a burst says how many were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place, now = (record.pathname, record.lineno), self._clock()
        start, count = self._seen.get(place, (now, 0))
        if now - start >= BURST_S:
            if count > BURST:
                record.msg = f"{record.getMessage()} ({count - BURST} lines like this were left out)"
                record.args = ()
            start, count = now, 0
        self._seen[place] = (start, count + 1)
        return count < BURST


class JournalHandler(logging.Handler):
    """Structured lines through systemd-python's `journal.send`."""

    def __init__(self, send: Callable[..., None]) -> None:
        super().__init__()
        self._send = send
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {
            "PRIORITY": PRIORITY.get(record.levelno, 5),
            "LOGGER": record.name,
            "SYSLOG_IDENTIFIER": "rwc-daemon",
            **{name: str(value) for name, value in getattr(record, "details", {}).items()},
        }
        if hasattr(record, "message_id"):
            fields["MESSAGE_ID"] = record.message_id
        self._send(self.format(record), **fields)


class PrefixFormatter(logging.Formatter):
    """`<6>text`: the journal reads the priority from the front of each line of stderr."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{PRIORITY.get(record.levelno, 5)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


class TerminalFormatter(logging.Formatter):
    """Lines for a person: without tracebacks, unless asked for them."""

    def formatException(self, info: Any) -> str:
        return f"{info[0].__name__}: {info[1]}"


def _terminal(level: str) -> logging.Handler:
    """A file that the lines go to is for details."""
    handler = logging.StreamHandler()
    brief = sys.stderr.isatty() and level != "debug"
    kind = TerminalFormatter if brief else logging.Formatter
    handler.setFormatter(kind("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    return handler


def _journal() -> logging.Handler:
    send = _journal_send()
    if send is not None:
        return JournalHandler(send)
    handler = logging.StreamHandler()
    handler.setFormatter(PrefixFormatter())
    return handler


def stderr_is_journal() -> bool:
    """systemd.exec(5): JOURNAL_STREAM is device:inode of the stream; it is inherited by programs that redirect it."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    try:
        stat = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{stat.st_dev}:{stat.st_ino}"


def _journal_send() -> Callable[..., None] | None:
    try:
        return importlib.import_module("systemd.journal").send
    except ImportError:
        return None
