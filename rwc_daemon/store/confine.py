"""Takes a process's powers away before it opens a stranger's file. Linux only; no privilege needed.

    limits       memory, CPU time, file size, open files, processes         always
    namespaces   a network of its own with nothing in it                          where users may make them
    landlock     the file system: read the interpreter, write the staging folder   kernel 5.13 and later
    seccomp      no socket, no program, no other process, no kernel door          x86_64 and aarch64

Each layer that the kernel does not have is left out and named in the answer; the limits are never left out.
Sources: man pages setrlimit(2), seccomp(2), landlock(7), unshare(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_DUMPABLE, SECCOMP_FILTER = 38, 22, 4, 2
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
READ_FILE, READ_FOLDER = 1 << 2, 1 << 3
ALL_FILES = (1 << 13) - 1  # every right of landlock's first version

# architecture → (audit number, system calls that no import needs)
CALLS: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (0xC000003E, {
        "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50,
        "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101, "mount": 165,
        "umount2": 166, "init_module": 175, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272,
        "perf_event_open": 298, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310,
        "process_vm_writev": 311, "finit_module": 313, "kexec_load": 246, "bpf": 321, "execveat": 322,
        "userfaultfd": 323, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438,
    }),
    "aarch64": (0xC00000B7, {
        "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203, "sendto": 206,
        "sendmsg": 211, "clone": 220, "execve": 221, "kill": 129, "ptrace": 117, "mount": 40, "umount2": 39,
        "init_module": 105, "add_key": 217, "request_key": 218, "keyctl": 219, "unshare": 97, "perf_event_open": 241,
        "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271,
        "finit_module": 273, "kexec_load": 104, "bpf": 280, "execveat": 281, "userfaultfd": 282,
        "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438,
    }),
}  # fmt: skip


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
    if not _seccomp(libc):
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


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _seccomp(libc: ctypes.CDLL) -> bool:
    if platform.machine() not in CALLS:
        return False
    code = seccomp_filter(*CALLS[platform.machine()])
    program = _Program(len(code) // 8, code)
    return libc.prctl(PR_SET_SECCOMP, SECCOMP_FILTER, ctypes.byref(program), 0, 0) == 0


def seccomp_filter(architecture: int, calls: dict[str, int]) -> bytes:
    """Classic BPF: refuse a foreign architecture, the x32 range and `calls`; allow the rest."""
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    numbers = sorted(set(calls.values()))
    steps = [
        (load, 0, 0, 4),  # the architecture
        (equal, 0, len(numbers) + 3, architecture),
        (load, 0, 0, 0),  # the number of the call
        (at_least, len(numbers) + 1, 0, 0x40000000),
        *((equal, len(numbers) - i, 0, number) for i, number in enumerate(numbers)),
        (answer, 0, 0, ALLOW),
        (answer, 0, 0, REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
