"""The filter of system calls, walked for every call by the rules of classic BPF."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from rwc_daemon.store.seccomp import ALLOW, ARGUMENTS, AUDIT, CALLS, FIRST_NEW, REFUSE, UNKNOWN, seccomp_filter

OWN = 4321
CHECKED = {**ARGUMENTS, "tgkill": (0, (OWN,))}
HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"),
    "aarch64": ("/usr/include/asm-generic/unistd.h",),
}
SAME = {"newfstatat": "fstatat"}  # on aarch64, whose header is the generic one


def answer(code: bytes, architecture: int, number: int, arguments: Sequence[int] = (0,) * 6) -> int:
    """What the kernel would do."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments)
    steps = [struct.unpack_from("=HBBI", code, at) for at in range(0, len(code), 8)]
    at, value = 0, 0
    while True:
        kind, yes, no, k = steps[at]
        if kind == 0x06:
            return k
        if kind == 0x20:
            value = struct.unpack_from("<I", data, k)[0]
            at += 1
            continue
        at += 1 + (yes if (value == k if kind == 0x15 else value >= k) else no)


@pytest.mark.parametrize("machine", AUDIT)
def test_what_is_listed_is_allowed_and_nothing_else(machine: str) -> None:
    code = seccomp_filter(machine, OWN)
    column, architecture = list(AUDIT).index(machine), AUDIT[machine]
    free = {pair[column] for name, pair in CALLS.items() if name not in CHECKED}
    checked = {CALLS[name][column] for name in CHECKED}
    for number in range(1024):
        if number in free:
            wanted = ALLOW
        elif number in checked:
            continue
        else:
            wanted = UNKNOWN if number >= FIRST_NEW else REFUSE
        assert answer(code, architecture, number) == wanted, number
    assert answer(code, architecture ^ 1, 0) == REFUSE
    assert answer(code, architecture, 0x40000000 + 1) == REFUSE


@pytest.mark.parametrize("machine", AUDIT)
@pytest.mark.parametrize("name", CHECKED)
def test_a_checked_call_is_allowed_with_listed_values_only(machine: str, name: str) -> None:
    code = seccomp_filter(machine, OWN)
    number = CALLS[name][list(AUDIT).index(machine)]
    position, values = CHECKED[name]
    assert number is not None
    for value in (*range(32), 1030, OWN, OWN + 1, 0x5401, 0x5412, 0x802C542A):
        arguments = [99] * 6
        arguments[position] = value
        wanted = ALLOW if value in values else REFUSE
        assert answer(code, AUDIT[machine], number, arguments) == wanted, value


@pytest.mark.parametrize("machine", AUDIT)
def test_the_numbers_are_those_of_the_kernel_headers(machine: str) -> None:
    """Calls that are newer than the headers at hand are compared where the headers have them."""
    found = [Path(path) for path in HEADERS[machine] if Path(path).exists()]
    if not found:
        pytest.skip("no kernel headers of this architecture: the package linux-libc-dev")
    pattern = re.compile(r"#define __NR(?:3264)?_(\w+)\s+(\d+)$", re.MULTILINE)
    known = {name: int(number) for name, number in pattern.findall(found[0].read_text())}
    for name, pair in CALLS.items():
        number = pair[list(AUDIT).index(machine)]
        named = SAME.get(name, name) if machine == "aarch64" else name
        if number is None:
            assert named not in known or machine == "aarch64", name
        elif number < 440:
            assert known[named] == number, name
        else:
            assert known.get(named, number) == number, name
