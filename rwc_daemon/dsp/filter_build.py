"""Builds `rwc_daemon.dsp._filter`, the loops of `first_order.py`, `high_pass.py` and `gate.py`.

Run as a program it puts the extension beside its source (a development tree); setuptools uses `ffi`.
"""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
ffi = FFI()
ffi.cdef(
    """
    double rwc_first_order(const double *x, double *y, uint64_t n, const double *factors, double memory);
    void rwc_second_order(const float *x, float *y, uint64_t n, const double *factors, double *memory);

    typedef struct {
        double rumble, level;
        double opening, closing;
        uint64_t hold, delay;
        float *late;
        double without_rumble, average;
        double from;
        uint64_t passed, quiet, at;
        int open, ramp_open;
    } rwc_gate;
    int rwc_gate_feed(rwc_gate *g, const float *x, float *y, uint64_t n, double high, double low, int always);
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

    /* The same with two memories: y[n] = f0 x[n] + f1 x[n-1] + f2 x[n-2] - f3 y[n-1] - f4 y[n-2]. What is no
       number counts as 0. */
    static void rwc_second_order(const float *x, float *y, uint64_t n, const double *factors, double *memory) {
      double first = memory[0], second = memory[1];
      for (uint64_t i = 0; i < n; i++) {
        double in = isfinite(x[i]) ? x[i] : 0, out = factors[0] * in + first;
        first = factors[1] * in - factors[3] * out + second;
        second = factors[2] * in - factors[4] * out;
        if (fabs(first) < INAUDIBLE && fabs(second) < INAUDIBLE) first = second = 0;
        y[i] = (float)out;
      }
      memory[0] = first;
      memory[1] = second;
    }

    typedef struct {
      double rumble, level;    /* poles */
      double opening, closing; /* slopes of the ramp, a sample */
      uint64_t hold, delay;    /* samples */
      float *late;             /* the last `delay` samples, a ring */
      double without_rumble, average; /* memories */
      double from;             /* where the ramp stood when it turned */
      uint64_t passed, quiet, at; /* samples since then; since the level was last above the closing threshold */
      int open, ramp_open;
    } rwc_gate;

    static double rwc_gate_ramp(const rwc_gate *g) {
      double u = g->from + (double)g->passed * (g->ramp_open ? g->opening : g->closing);
      return u < 0 ? 0 : u > 1 ? 1 : u;
    }

    /* One sample's power, against the powers that open the gate and that keep it open. */
    static void rwc_gate_judge(rwc_gate *g, double power, double high, double low) {
      if (!g->open) {
        g->open = power > high;
        g->quiet = 0;
      } else if (power > low) {
        g->quiet = 0;
      } else if (g->quiet++ == g->hold) {
        g->open = 0;
        g->quiet = 0;
      }
    }

    /* 1: something of the sound is left. `always`: no level closes it. */
    static int rwc_gate_feed(rwc_gate *g, const float *x, float *y, uint64_t n, double high, double low, int always) {
      int heard = 0;
      for (uint64_t i = 0; i < n; i++) {
        float in = isfinite(x[i]) ? x[i] : 0;
        double sharp = in + g->without_rumble;
        g->without_rumble = g->rumble * sharp - in;
        /* a floor far below hearing: no denormal numbers in the memory */
        double power = (1 - g->level) * (sharp * sharp + 1e-30) + g->average;
        g->average = g->level * power;
        if (always) {
          g->open = 1;
          g->quiet = 0;
        } else {
          rwc_gate_judge(g, power, high, low);
        }
        if (g->open != g->ramp_open) {
          g->from = rwc_gate_ramp(g);
          g->ramp_open = g->open;
          g->passed = 0;
        }
        g->passed++;
        double u = rwc_gate_ramp(g);
        float gain = (float)(u * u * (3 - 2 * u));
        y[i] = g->late[g->at] * gain;
        heard |= gain != 0;
        g->late[g->at] = in;
        if (++g->at == g->delay) g->at = 0;
      }
      return n ? heard : g->open;
    }
    """,
    # contraction would round differently on machines with fused multiply-add
    extra_compile_args=["-std=c11", "-O2", "-ffp-contract=off"],
)

if __name__ == "__main__":
    # named as pip names it: of two builds side by side the older could win
    ffi.compile(tmpdir=str(HERE.parents[1]), target="_filter.abi3.so", verbose=True)
