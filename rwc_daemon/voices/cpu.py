"""What this CPU offers to nets, and the user's wish to hold them to less."""

from __future__ import annotations

import os
from pathlib import Path

LIMIT = "RWC_CPU_ISA"  # environment: "avx2" holds torch, oneDNN, MKL and our own routines to AVX2


def held() -> bool:
    """Whether the user holds dispatch to AVX2, to see what a machine without more does."""
    return os.environ.get(LIMIT, "") == "avx2"


def has_bf16_units() -> bool:
    """Whether bfloat16 is faster than float32 here: where the CPU has matrix units (AMX)."""
    return "amx_bf16" in flags() and not held()


def flags() -> set[str]:
    """What the kernel says of the CPU's features; nothing where it says it otherwise."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


def hold_torch() -> None:
    """Holds torch, oneDNN and MKL to AVX2 as well, where the user wishes so. They look once, at the first operation."""
    if held():
        os.environ.update(ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", MKL_ENABLE_INSTRUCTIONS="AVX2")


hold_torch()  # at import: nets import this before anything is computed
