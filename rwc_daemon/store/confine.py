"""Takes a process's powers away before it opens a stranger's file. Linux only; no privilege needed.

    limits       memory, CPU time, file size, open files, processes         always
    namespaces   a network of its own with nothing in it                          where users may make them
    landlock     the file system: read the interpreter, write the staging folder   kernel 5.13 and later
    seccomp      the system calls that store/seccomp.py lists, no other           x86_64 and aarch64

Each layer that the kernel does not have is left out and named in the answer; the limits are never left out.
Sources: man pages setrlimit(2), landlock(7), unshare(2).
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rwc_daemon.store import seccomp

CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE = 38, 4
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
READ_FILE, READ_FOLDER = 1 << 2, 1 << 3
ALL_FILES = (1 << 13) - 1  # every right of landlock's first version


@dataclass(frozen=True)
class Limits:
    """What the child may use."""

    memory: int = 2 << 30
    """Bytes of address space."""
    cpu_s: int = 120
    """Seconds of CPU time."""
    file: int = 3 << 30
    """Bytes of any one file it writes."""
    files: int = 256
    """Open at once."""


def isolate_network() -> bool:
    """An empty network of our own. Only before threads exist; False where users may not."""
    return _libc().unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) == 0


def limit(limits: Limits) -> None:
    for what, most in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_FSIZE, limits.file),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def confine(writable: Path | None, limits: Limits, readable: Sequence[Path] = ()) -> list[str]:
    """All that this kernel offers; the layers that it does not. Cannot be undone.

    `writable`: the one folder, if any; `readable`: folders beside the interpreter's.
    """
    limit(limits)
    libc = _libc()
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    missing = [] if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 else ["no_new_privs"]
    if not _landlock(libc, writable, readable):
        missing.append("landlock")
    if not seccomp.install(libc):
        missing.append("seccomp")
    return missing


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _landlock(libc: ctypes.CDLL, writable: Path | None, more: Sequence[Path]) -> bool:
    rights = struct.pack("=Q", ALL_FILES)
    ruleset = libc.syscall(LANDLOCK_CREATE, rights, len(rights), 0)
    if ruleset < 0:
        return False
    # Python still loads modules lazily, so its own folders stay readable
    readable = {Path(sys.prefix), Path(sys.base_prefix), Path("/usr"), Path("/lib"), Path("/lib64"), *more}
    rules = [(path, READ_FILE | READ_FOLDER) for path in readable if path.is_dir()]
    rules += [(writable, ALL_FILES)] if writable else []
    for path, allowed in rules:
        handle = os.open(path, os.O_PATH | os.O_DIRECTORY)
        failed = libc.syscall(LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", allowed, handle), 0)
        os.close(handle)
        if failed:
            return False
    done = libc.syscall(LANDLOCK_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return done
