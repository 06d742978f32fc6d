"""The system calls that a confined process may make, as a seccomp filter: everything that is not listed is refused.

A call is refused with EPERM; one that older kernels lack (numbers from 424 on) with ENOSYS, to which libraries know an
older answer: glibc's clone3 becomes clone, which is refused. Nobody is killed, so what went wrong is said in words.
Sources: seccomp(2), bpf(4, classic); numbers: asm/unistd_64.h and asm-generic/unistd.h of Linux, which a test compares.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Mapping, Sequence

PR_SET_SECCOMP, SECCOMP_FILTER = 22, 2
ALLOW = 0x7FFF0000  # SECCOMP_RET_ALLOW
REFUSE, UNKNOWN = (0x00050000 | number for number in (errno.EPERM, errno.ENOSYS))  # SECCOMP_RET_ERRNO
FIRST_NEW = 424  # from here on one number means one call on every architecture (Linux 5.1)
X32 = 0x40000000  # from here on: x86_64's second set of calls

# architecture → its audit number
AUDIT: dict[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# system call → its number on x86_64 and aarch64; None: there is no such call
CALLS: dict[str, tuple[int | None, int | None]] = {
    # its own memory
    "brk": (12, 214), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216),
    "madvise": (28, 233), "msync": (26, 227),
    # files that are open, and those that landlock lets it open
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "preadv": (295, 69), "pwritev": (296, 70), "lseek": (8, 62), "close": (3, 57),
    "close_range": (436, 436), "open": (2, None), "openat": (257, 56), "dup": (32, 23), "dup2": (33, None),
    "dup3": (292, 24), "fstat": (5, 80), "newfstatat": (262, 79), "stat": (4, None), "lstat": (6, None),
    "statx": (332, 291), "statfs": (137, 43), "fstatfs": (138, 44), "access": (21, None), "faccessat": (269, 48),
    "faccessat2": (439, 439), "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17),
    "getdents64": (217, 61), "ftruncate": (77, 46), "fallocate": (285, 47), "fsync": (74, 82), "fdatasync": (75, 83),
    "fadvise64": (221, 223), "fcntl": (72, 25), "ioctl": (16, 29),
    # folders and files of the staging folder
    "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35),
    # the one socket that a reader of sounds got from its parent
    "recvmsg": (47, 212), "recvfrom": (45, 207), "getsockname": (51, 204), "getpeername": (52, 205),
    # signals to itself
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "restart_syscall": (219, 128), "alarm": (37, None), "getitimer": (36, 102), "setitimer": (38, 103),
    "tgkill": (234, 131),
    # clocks and waiting
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "futex": (202, 98),
    "futex_waitv": (449, 449), "futex_wake": (454, 454), "futex_wait": (455, 455), "futex_requeue": (456, 456),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "sched_yield": (24, 124),
    # what it asks about itself, and how it ends
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "uname": (63, 160), "sysinfo": (99, 179), "getrusage": (98, 165),
    "getrlimit": (97, 163), "prlimit64": (302, 261), "sched_getaffinity": (204, 123), "getcpu": (309, 168),
    "getrandom": (318, 278), "arch_prctl": (158, None), "set_tid_address": (218, 96), "set_robust_list": (273, 99),
    "rseq": (334, 293), "membarrier": (324, 283), "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip

# which argument of a call must be one of these values, all of 32 bits
# fcntl: F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC (others send signals to strangers)
# ioctl: TCGETS, TCGETS2 (is this a terminal?); prlimit64: oneself
ARGUMENTS: dict[str, tuple[int, tuple[int, ...]]] = {
    "fcntl": (1, (0, 1, 2, 3, 4, 1030)),
    "ioctl": (1, (0x5401, 0x802C542A)),
    "prlimit64": (0, (0,)),
}

LOAD, EQUAL, AT_LEAST, ANSWER = 0x20, 0x15, 0x35, 0x06  # of classic BPF
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # where struct seccomp_data has them; little-endian


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(libc: ctypes.CDLL) -> bool:
    """From now on this process makes listed calls only; False where the kernel or the architecture has no filter."""
    machine = platform.machine()
    if machine not in AUDIT:
        return False
    code = seccomp_filter(machine, os.getpid())
    program = _Program(len(code) // 8, code)
    return libc.prctl(PR_SET_SECCOMP, SECCOMP_FILTER, ctypes.byref(program), 0, 0) == 0


def seccomp_filter(machine: str, own_pid: int) -> bytes:
    """Returns the filter as classic BPF; signals go to `own_pid` only."""
    checked: Mapping[str, tuple[int, Sequence[int]]] = {**ARGUMENTS, "tgkill": (0, (own_pid,))}
    column = list(AUDIT).index(machine)
    numbers = {name: number for name, pair in CALLS.items() if (number := pair[column]) is not None}
    # (code, operand, answer where it holds, answer where not); None: the next step; a number: as many steps on
    steps: list[tuple[int, int, int | None, int | None]] = [
        (LOAD, ARCHITECTURE, None, None),
        (EQUAL, AUDIT[machine], None, REFUSE),
        (LOAD, NUMBER, None, None),
        (AT_LEAST, X32, REFUSE, None),
    ]
    steps += [(EQUAL, number, ALLOW, None) for name, number in numbers.items() if name not in checked]
    for name, (argument, values) in checked.items():
        steps.append((EQUAL, numbers[name], None, 1 + len(values)))
        steps.append((LOAD, FIRST_ARGUMENT + 8 * argument, None, None))
        *others, last = values
        steps += [(EQUAL, value, ALLOW, None) for value in others]
        steps.append((EQUAL, last, ALLOW, REFUSE))
    steps.append((AT_LEAST, FIRST_NEW, UNKNOWN, REFUSE))
    answers = (ALLOW, REFUSE, UNKNOWN)
    code = [
        struct.pack("=HBBI", kind, _jump(yes, at, len(steps), answers), _jump(no, at, len(steps), answers), operand)
        for at, (kind, operand, yes, no) in enumerate(steps)
    ]
    return b"".join(code + [struct.pack("=HBBI", ANSWER, 0, 0, answer) for answer in answers])


def _jump(target: int | None, at: int, end: int, answers: Sequence[int]) -> int:
    """Steps to leave out: none, so many, or all up to an answer, which stand behind the last step."""
    if target in answers:
        return end + answers.index(target) - at - 1
    return target or 0
