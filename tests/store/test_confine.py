"""A confined process tries what a hostile file would want, and is refused."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

TRIES = """
import json, os, socket, sys, threading
from pathlib import Path
from rwc_daemon.store import confine

def tried(action):
    try:
        action()
    except (OSError, MemoryError, RuntimeError) as error:
        return type(error).__name__
    return "done"

place, outside = Path(sys.argv[1]), Path(sys.argv[2])
held = open("/etc/hostname", "rb")
network = confine.isolate_network()
missing = confine.confine(place, confine.Limits(memory=1 << 30, file=1 << 20))
print(json.dumps({
    "network": network, "missing": missing,
    "held": tried(lambda: held.read()),
    "socket": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
    "local": tried(lambda: socket.socket(socket.AF_UNIX)),
    "fork": tried(os.fork),
    "exec": tried(lambda: os.execv("/bin/true", ["true"])),
    "thread": tried(lambda: threading.Thread(target=print).start()),
    "kill": tried(lambda: os.kill(os.getppid(), 0)),
    "read": tried(lambda: open("/etc/passwd").read()),
    "write": tried(lambda: open(outside / "evil", "w")),
    "inside": tried(lambda: (place / "fine").write_text("x")),
    "memory": tried(lambda: bytearray(2 << 30)),
    "large": tried(lambda: (place / "large").write_bytes(bytes(2 << 20))),
}))
"""


def test_powers_are_gone(tmp_path: Path) -> None:
    place, outside = tmp_path / "place", tmp_path / "outside"
    place.mkdir()
    outside.mkdir()
    command = [sys.executable, "-c", TRIES, str(place), str(outside)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found = json.loads(said.splitlines()[-1])
    assert found["held"] == found["inside"] == "done"
    assert found["memory"] == "MemoryError"
    assert found["large"] == "OSError"
    if "seccomp" not in found["missing"]:
        for power in ("socket", "local", "fork", "exec", "kill"):
            assert found[power] == "PermissionError", power
        assert found["thread"] == "RuntimeError"
    if "landlock" not in found["missing"]:
        assert found["read"] == found["write"] == "PermissionError"
    if platform.machine() in ("x86_64", "aarch64"):
        assert "seccomp" not in found["missing"], "these kernels have it since years"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_well_formed(machine: str) -> None:
    """Walks the filter for every call, by the rules of classic BPF."""
    import struct

    from rwc_daemon.store.confine import ALLOW, CALLS, REFUSE, seccomp_filter

    architecture, calls = CALLS[machine]
    code = seccomp_filter(architecture, calls)
    steps = [struct.unpack_from("=HBBI", code, at) for at in range(0, len(code), 8)]

    def answer(arch: int, number: int) -> int:
        at, value = 0, 0
        while True:
            kind, yes, no, k = steps[at]
            if kind == 0x06:
                return k
            if kind == 0x20:
                value = {0: number, 4: arch}[k]
                at += 1
                continue
            at += 1 + (yes if (value == k if kind == 0x15 else value >= k) else no)

    for number in range(512):
        assert answer(architecture, number) == (REFUSE if number in calls.values() else ALLOW), number
    assert answer(architecture ^ 1, 0) == REFUSE
    assert answer(architecture, 0x40000000 + 1) == REFUSE
