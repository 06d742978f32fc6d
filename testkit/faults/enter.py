"""From outside: runs one of these modules in a desktop session of its own, and reads what it prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DESKTOP = ROOT / "testkit/harness/desktop"


def why_not() -> str:
    """Why no desktop session can be made here; empty: it can."""
    if os.geteuid() != 0 or not Path("/lib/systemd/systemd").exists() or not shutil.which("unshare"):
        return "only root can make a desktop session, with systemd and unshare installed"
    if not (Path(sys.executable).parent / "rwc-daemon").exists():
        return "the package is not installed: tools/test does that"
    return ""


def asked(request: Any, parameter: str) -> list[str]:
    """Arguments that choose the faults or events of one test module that this run of pytest asks for (`request` is
    pytest's): what runs again alone, or by `-k`, need not wait for all the others."""
    tests = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    values = [item.callspec.params[parameter] for item in tests if parameter in item.callspec.params]
    return [f"--name={getattr(value, 'name', value)}" for value in values] or ["--name="]


def printed(module: str, *arguments: str, realtime: bool = False, timeout_s: float = 1200) -> Iterator[dict[str, Any]]:
    """The JSON objects that `testkit.faults.MODULE` prints, as they come. Raises RuntimeError where it fails."""
    shown = [str(Path(sys.base_prefix)), str(Path(sys.executable).parents[1]), str(ROOT)]
    environment = os.environ | {
        "RWC_DESKTOP_SHOW": " ".join(dict.fromkeys(shown)),
        "RWC_DESKTOP_KEEP": "PYTHONPATH PYTHONUNBUFFERED",
        "RWC_DESKTOP_REALTIME": "1" if realtime else "",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    command = ["timeout", str(timeout_s), str(DESKTOP), sys.executable, "-m", f"testkit.faults.{module}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        assert process.stdout
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise RuntimeError(f"testkit.faults.{module} ended with status {process.returncode}: its words are above")
