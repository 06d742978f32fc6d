"""Builds `rwc_daemon.dsp._filter`, the filter of `first_order.py`.

Run as a program it puts the extension beside its source (a development tree); setuptools uses `ffi`.
"""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
ffi = FFI()
ffi.cdef("double rwc_first_order(const double *x, double *y, uint64_t n, const double *factors, double memory);")
ffi.set_source(
    "rwc_daemon.dsp._filter",
    """
    #include <stdint.h>

    /* Transposed direct form II. Answers with the memory after the last sample. */
    static double rwc_first_order(const double *x, double *y, uint64_t n, const double *factors, double memory) {
      const double now = factors[0], before = factors[1], pole = factors[2];
      for (uint64_t i = 0; i < n; i++) {
        y[i] = now * x[i] + memory;
        memory = before * x[i] + pole * y[i];
      }
      return memory;
    }
    """,
    # contraction would round differently on machines with fused multiply-add
    extra_compile_args=["-std=c11", "-O2", "-ffp-contract=off"],
)

if __name__ == "__main__":
    # named as pip names it: of two builds side by side the older could win
    ffi.compile(tmpdir=str(HERE.parents[1]), target="_filter.abi3.so", verbose=True)
