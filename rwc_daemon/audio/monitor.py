"""Tools of PipeWire: one that is run once, and one that prints what changes for as long as this process lives."""

from __future__ import annotations

import shutil
import subprocess

TIMEOUT_S = 2.0


def start_monitor(*command: str) -> subprocess.Popen[bytes]:
    """Its output is a pipe. The child must not outlive us, and is told so by the kernel, since
    it writes nothing while nothing changes."""
    wrapper = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    return subprocess.Popen(
        [*wrapper, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def run_quietly(*command: str) -> None:
    """One of PipeWire's tools; what has gone meanwhile is no error: whoever reconciles will see."""
    try:
        subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return
