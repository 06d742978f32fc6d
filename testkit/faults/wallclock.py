"""A wall clock for the daemon alone, which a fault can set (wallclock.c)."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """Takes effect when the units are read again."""

    def __init__(self, home: Path) -> None:
        self._file, self._library = home / "wallclock", home / "wallclock.so"
        self.set(0)
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", self._library, SOURCE, "-ldl"], check=True)
        folder = home / ".config/systemd/user/rwc-daemon.service.d"
        folder.mkdir(parents=True, exist_ok=True)
        lines = (f"Environment=LD_PRELOAD={self._library}", f"Environment=RWC_TEST_WALLCLOCK={self._file}")
        (folder / "wallclock.conf").write_text("[Service]\n" + "\n".join(lines) + "\n")

    def set(self, ahead_s: int) -> None:
        """So many seconds before the machine's own clock."""
        fd = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(fd, struct.pack("=q", ahead_s), 0)  # in place: the file is mapped
        os.close(fd)

    def is_seen_by(self, pid: int) -> bool:
        """A process of the same user."""
        maps = Path(f"/proc/{pid}/maps").read_text()
        return all(str(path) in maps for path in (self._file, self._library))
