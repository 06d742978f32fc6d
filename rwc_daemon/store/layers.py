"""Which layers of the import child's confinement this machine lacks: tried out in a process of its own.

As a program, with a folder as its argument, it confines itself to that folder and prints the missing layers as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rwc_daemon.store.confine import Limits, confine, isolate_network

TRY_S = 20.0


def missing_layers() -> list[str] | None:
    """ "namespaces", "landlock", "seccomp", …; None where they could not be tried."""
    with tempfile.TemporaryDirectory(prefix="rwc-layers-") as folder:
        command = [sys.executable, "-m", "rwc_daemon.store.layers", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TRY_S)
            return [str(name) for name in json.loads(done.stdout)]
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None


def main(arguments: list[str]) -> int:
    namespaces = isolate_network()
    missing = confine(Path(arguments[0]), Limits())
    print(json.dumps([*([] if namespaces else ["namespaces"]), *missing]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
