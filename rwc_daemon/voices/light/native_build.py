"""Builds `rwc_daemon.voices.light._steps`: a step of each net as one call (steps.c).

Run as a program it puts the extension beside its source (a development tree); setuptools uses `ffi`.
"""

import os
import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CALLS = """
    int rwc_listen(const rwc_linear *first, const rwc_block *blocks, int count, rwc_block_memory *memory,
                   const float *mel, float *content);
    void rwc_speak(const rwc_decoder *d, rwc_decoder_memory *memory, const float *content, const float *conditions,
                   float *y);
"""
ffi = FFI()
TYPES = (HERE / "steps.h").read_text(encoding="utf-8")
ffi.cdef(re.sub(r"/\*.*?\*/|#include[^\n]*", "", TYPES, flags=re.DOTALL) + CALLS)
ffi.set_source(
    "rwc_daemon.voices.light._steps",
    '#include "steps.h"' + CALLS,
    sources=[os.path.relpath(HERE / "steps.c", ROOT)],
    include_dirs=[str(HERE)],
    extra_compile_args=["-std=gnu11", "-O3", "-D_GNU_SOURCE", "-fno-math-errno"],
    depends=[os.path.relpath(path, ROOT) for path in (HERE / "steps.h", HERE / "steps.c")],
)

if __name__ == "__main__":
    # named as pip names it: of two builds side by side the older could win
    ffi.compile(tmpdir=str(ROOT), target="_steps.abi3.so", verbose=True)
