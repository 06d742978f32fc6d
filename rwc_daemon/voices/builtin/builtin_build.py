"""Builds `rwc_daemon.voices.builtin._builtin`, the inner loops of the built-in voices.

Run as a program it puts the extension beside its source (a development tree); setuptools uses `ffi`.
"""

import os
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
ffi = FFI()
ffi.cdef(
    """
    #define RWC_MOST_PIECE ...
    #define RWC_NO_MEMORY ...
    #define RWC_REFUSED ...
    typedef ... rwc_pitch;
    rwc_pitch *rwc_pitch_make(double rate, int64_t delay, const double *kernels, const double *speeds,
                              int64_t speed_count, int64_t phases, int64_t taps, double low, double high);
    void rwc_pitch_free(rwc_pitch *v);
    int rwc_pitch_convert(rwc_pitch *v, const float *x, int64_t n, double pitch, double formant, double shifted,
                          const double *luck, int64_t *used, float *y);
    """
)
ffi.set_source(
    "rwc_daemon.voices.builtin._builtin",
    '#include "pitch.h"',
    sources=[os.path.relpath(HERE / name, ROOT) for name in ("pitch.c",)],
    include_dirs=[str(HERE)],
    # contraction would round differently on machines with fused multiply-add
    extra_compile_args=["-std=c11", "-O3", "-D_GNU_SOURCE", "-ffp-contract=off", "-fno-math-errno"],
    libraries=["m"],
    depends=[os.path.relpath(path, ROOT) for path in sorted(HERE.glob("*.[ch]")) if path.name != "_builtin.c"],
)

if __name__ == "__main__":
    # named as pip names it: of two builds side by side the older could win
    ffi.compile(tmpdir=str(ROOT), target="_builtin.abi3.so", verbose=True)
