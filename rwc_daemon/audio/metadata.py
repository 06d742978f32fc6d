"""Keeps a complete copy of the session manager's table of defaults.

`pw-dump --monitor` does not serve for it: of a change it prints only the keys that changed, of a removal nothing at
all, and before PipeWire 1.2 it prints a change only when something else changes too. `pw-metadata --monitor` prints
each change and each removal at once, in all versions (read in the source of 0.3.65 to 1.6).

PipeWire itself drops a change for all who follow the table while another program begins to (`pending` in its
module-metadata, to this day). So the table is read again a moment after each change, and when nodes come or go.
"""

from __future__ import annotations

import json
import math
import os
import re
import select
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from rwc_daemon.audio.monitor import start_monitor

Table = Mapping[tuple[int, str], str]  # (object id; 0: the whole session, key) → value as it is written

QUIET_S = 0.02  # changes that come together are told together: no state between two of them is taken for one
MOST_S = 0.2  # longer than that no change waits for others
CHECK_S = 0.5
RETRY_S = 0.25
UPDATE = re.compile(r"update: id:(\d+) key:'([^']*)' value:'(.*)' type:'.*'$")
REMOVE = re.compile(r"remove: id:(\d+) (?:key:'([^']*)'|all keys)$")


class MetadataWatch:
    """Follows the table "default" of one session manager after another."""

    def __init__(self, tell: Callable[[Table], None]) -> None:
        """`tell` is called from threads of its own, with the whole table, whenever it was read or has changed."""
        self._tell = tell
        self._lock = threading.Lock()
        self._keeper = ""
        self._reader: _MetadataReader | None = None

    def follow(self, keeper: str) -> None:
        """`keeper`: the identity of the table; another one after the session manager was restarted, empty: none."""
        with self._lock:
            if keeper == self._keeper:
                return
            old, self._keeper = self._reader, keeper
            self._reader = _MetadataReader(self._told) if keeper else None
        if old:
            old.stop()
        if self._reader is None:
            self._tell({})

    def check(self) -> None:
        """Asks for another reading soon."""
        with self._lock:
            if self._reader:
                self._reader.check()

    def _told(self, reader: _MetadataReader, table: Table) -> None:
        with self._lock:
            current = reader is self._reader
        if current:
            self._tell(table)


class _MetadataReader:
    """A thread that reads one table until it is stopped; the tool is started again for every new look."""

    def __init__(self, tell: Callable[[_MetadataReader, Table], None]) -> None:
        self._tell = tell
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopped = False
        threading.Thread(target=self._run, name="rwc-metadata", daemon=True).start()

    def check(self) -> None:
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """The last call. The thread wakes up first, since it closes what wakes it when it ends."""
        self.check()
        self._stopped = True

    def _run(self) -> None:
        while not self._stopped:
            with start_monitor("pw-metadata", "--monitor") as process:
                assert process.stdout
                again = self._read(process.stdout)
                process.terminate()
            if not again:
                time.sleep(RETRY_S)
        os.close(self._wake)

    def _read(self, stream: IO[bytes]) -> bool:
        """Reads until it is time for a new look (True) or the tool has ended (False)."""
        table: dict[tuple[int, str], str] = {}
        rest, whole = b"", False
        since_s = last_s = due_s = math.inf  # of what was not told yet: first and last; when to look again
        while True:
            now = time.monotonic()
            if now >= min(last_s + QUIET_S, since_s + MOST_S):
                self._tell(self, dict(table))
                since_s, last_s, whole = math.inf, math.inf, True
            if now >= due_s or self._stopped:
                return True
            wait_s = min(last_s + QUIET_S, since_s + MOST_S, due_s) - now
            files: list[Any] = [stream, self._wake]
            ready = select.select(files, [], [], None if wait_s == math.inf else wait_s)[0]
            now = time.monotonic()
            if self._wake in ready:
                os.eventfd_read(self._wake)
                due_s = now + CHECK_S
            if stream in ready:
                data = os.read(stream.fileno(), 1 << 16)
                if not data:
                    return False
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    note(table, line.decode(errors="replace"))
                since_s, last_s = min(since_s, now), now
                due_s = now + CHECK_S if whole else due_s


def note(table: dict[tuple[int, str], str], line: str) -> None:
    """Applies one line of `pw-metadata --monitor` to the table."""
    if said := UPDATE.match(line):
        table[int(said[1]), said[2]] = said[3]
    elif (said := REMOVE.match(line)) and said[2] is not None:
        table.pop((int(said[1]), said[2]), None)
    elif said:
        for key in [key for key in table if key[0] == int(said[1])]:
            del table[key]


def node_name(table: Table, key: str) -> str:
    """Returns the node.name under a key of the session; empty if there is none."""
    try:
        value = json.loads(table.get((0, key), "null"))
    except ValueError:
        return ""
    return str(value.get("name", "")) if isinstance(value, dict) else ""


def targets(table: Table) -> dict[str, tuple[str, str]]:
    """Of each stream the key that counts, and its value: a node's serial, its id (`target.node`), or its name."""
    found: dict[str, tuple[str, str]] = {}
    for key in ("target.node", "target.object"):  # the second counts where both are there
        found |= {str(subject): (key, value) for (subject, of), value in table.items() if subject and of == key}
    return found
