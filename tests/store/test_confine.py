"""A confined process tries what a hostile file would want, and is refused."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

QUEUE, TGKILL, PTRACE, READV = {"x86_64": (129, 234, 101, 310)}.get(platform.machine(), (138, 131, 117, 270))
TRIES = f"""
QUEUE, TGKILL, PTRACE, READV, FUTURE = {QUEUE}, {TGKILL}, {PTRACE}, {READV}, 600
"""
TRIES += """
import ctypes, fcntl, json, os, resource, shutil, signal, socket, sys, termios, threading
from pathlib import Path
from rwc_daemon.store import confine

libc = ctypes.CDLL(None, use_errno=True)

def call(number, *values):
    if libc.syscall(number, *map(ctypes.c_long, values)) < 0:
        raise OSError(ctypes.get_errno(), "refused")

def tried(action):
    try:
        action()
    except (OSError, MemoryError, RuntimeError) as error:
        return type(error).__name__
    return "done"

place, outside = Path(sys.argv[1]), Path(sys.argv[2])
held = open("/etc/hostname", "rb")
victim = outside / "victim"
victim.write_text("the user's own")
parent, stdin = os.getppid(), sys.stdin.fileno()
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
    "kill": tried(lambda: os.kill(parent, 0)),
    "queue": tried(lambda: call(QUEUE, parent, 0, 0)),
    "thread_kill": tried(lambda: call(TGKILL, parent, parent, 0)),
    "owner": tried(lambda: fcntl.fcntl(held, fcntl.F_SETOWN, parent)),
    "ptrace": tried(lambda: call(PTRACE, 16, parent, 0, 0)),
    "look": tried(lambda: call(READV, parent, 0, 0, 0, 0, 0)),
    "ring": tried(lambda: call(425, 8, 0)),
    "new": tried(lambda: call(FUTURE, 0)),
    "nice": tried(lambda: os.setpriority(os.PRIO_PROCESS, parent, 19)),
    "limits": tried(lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE)),
    "terminal": tried(lambda: fcntl.ioctl(stdin, termios.TIOCSTI, b"x")),
    "cut": tried(lambda: os.truncate(victim, 0)),
    "mode": tried(lambda: os.chmod(victim, 0)),
    "times": tried(lambda: os.utime(victim, (0, 0))),
    "label": tried(lambda: os.setxattr(victim, "user.evil", b"x")),
    "memory_file": tried(lambda: os.memfd_create("evil")),
    "own_limits": tried(lambda: resource.getrlimit(resource.RLIMIT_AS)),
    "own_signal": tried(lambda: signal.raise_signal(signal.SIGCHLD)),
    "folders": tried(lambda: ((place / "a/b").mkdir(parents=True), shutil.rmtree(place / "a"))),
    "read": tried(lambda: open("/etc/passwd").read()),
    "write": tried(lambda: open(outside / "evil", "w")),
    "inside": tried(lambda: (place / "fine").write_text("x")),
    "memory": tried(lambda: bytearray(2 << 30)),
    "large": tried(lambda: (place / "large").write_bytes(bytes(2 << 20))),
}))
"""

REFUSED = (
    *("socket", "local", "fork", "exec", "kill", "queue", "thread_kill", "owner", "ptrace", "look", "nice", "limits"),
    *("terminal", "cut", "mode", "times", "label", "memory_file"),
)


def test_powers_are_gone(tmp_path: Path) -> None:
    place, outside = tmp_path / "place", tmp_path / "outside"
    place.mkdir()
    outside.mkdir()
    command = [sys.executable, "-c", TRIES, str(place), str(outside)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found = json.loads(said.splitlines()[-1])
    for allowed in ("held", "inside", "folders", "own_limits", "own_signal"):
        assert found[allowed] == "done", allowed
    assert found["memory"] == "MemoryError"
    assert found["large"] == "OSError"
    if "seccomp" not in found["missing"]:
        for power in REFUSED:
            assert found[power] == "PermissionError", power
        assert found["thread"] == "RuntimeError"
        assert found["ring"] == found["new"] == "OSError", "ENOSYS, as of an older kernel"
        assert (outside / "victim").read_text() == "the user's own"
    if "landlock" not in found["missing"]:
        assert found["read"] == found["write"] == "PermissionError"
    if platform.machine() in ("x86_64", "aarch64"):
        assert "seccomp" not in found["missing"], "these kernels have it since years"
