"""Instruction sets for which the native routines are compiled, and which of them this machine has.

All are compiled from the same loops: "amx" uses a CPU's matrix unit, "portable" is plain C and runs everywhere. The
portable routines are there to test the loops on every machine; torch's own operations are faster than they.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from rwc_daemon.voices.cpu import held
from rwc_daemon.voices.native._native import ffi, lib

AMX, PORTABLE = "amx", "portable"


@cache
def table(name: str) -> Any:
    """The routines of this instruction set; NULL where this build has none."""
    return lib.rwc_isa_named(name.encode())


@cache
def ready(name: str) -> bool:
    """Whether this machine has the instruction set, lets the process use it, and nobody holds us to less."""
    return not (name == AMX and held()) and table(name) != ffi.NULL and bool(lib.rwc_isa_ready(table(name)))


def isas() -> list[str]:
    """Those that this machine can run, best first."""
    return [name for name in (AMX, PORTABLE) if ready(name)]
