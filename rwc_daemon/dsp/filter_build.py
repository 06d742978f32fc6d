"""Builds `rwc_daemon.dsp._filter`, the filters of `first_order.py` and `high_pass.py`.

Run as a program it puts the extension beside its source (a development tree); setuptools uses `ffi`.
"""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
ffi = FFI()
ffi.cdef(
    """
    double rwc_first_order(const double *x, double *y, uint64_t n, const double *factors, double memory);
    void rwc_second_order(const double *x, double *y, uint64_t n, const double *factors, double *memory);
    """
)
ffi.set_source(
    "rwc_daemon.dsp._filter",
    """
    #include <math.h>
    #include <stdint.h>

    #define INAUDIBLE 1e-15 /* -300 dB: memory below it is none, so that after silence there is exactly silence */

    /* Transposed direct form II. Answers with the memory after the last sample. */
    static double rwc_first_order(const double *x, double *y, uint64_t n, const double *factors, double memory) {
      const double now = factors[0], before = factors[1], pole = factors[2];
      for (uint64_t i = 0; i < n; i++) {
        y[i] = now * x[i] + memory;
        memory = before * x[i] + pole * y[i];
      }
      return memory;
    }

    /* The same with two memories: y[n] = f0 x[n] + f1 x[n-1] + f2 x[n-2] - f3 y[n-1] - f4 y[n-2]. */
    static void rwc_second_order(const double *x, double *y, uint64_t n, const double *factors, double *memory) {
      double first = memory[0], second = memory[1];
      for (uint64_t i = 0; i < n; i++) {
        y[i] = factors[0] * x[i] + first;
        first = factors[1] * x[i] - factors[3] * y[i] + second;
        second = factors[2] * x[i] - factors[4] * y[i];
        if (fabs(first) < INAUDIBLE && fabs(second) < INAUDIBLE) first = second = 0;
      }
      memory[0] = first;
      memory[1] = second;
    }
    """,
    # contraction would round differently on machines with fused multiply-add
    extra_compile_args=["-std=c11", "-O2", "-ffp-contract=off"],
)

if __name__ == "__main__":
    # named as pip names it: of two builds side by side the older could win
    ffi.compile(tmpdir=str(HERE.parents[1]), target="_filter.abi3.so", verbose=True)
