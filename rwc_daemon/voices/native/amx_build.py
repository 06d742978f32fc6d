"""Builds `rwc_daemon.voices.native._amx`, nets on a CPU's matrix unit.

Run as a program it puts the extension beside its source (a development tree); setuptools uses `ffi`.
"""

import os
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
SOURCES = ("amx.c", "encoder.c", "blocks.c", "conformer.c", "couplings.c")
ffi = FFI()
ffi.cdef(
    """
    #define RWC_PLAIN ...
    #define RWC_RELU ...
    #define RWC_LEAKY ...
    #define RWC_GELU ...
    typedef struct {
        const void *w;
        const float *scale, *bias;
        const int32_t *span;
        int64_t in, out, taps, stride, dilation, padding, pitch;
    } rwc_layer;
    typedef struct { void *parallel, *number, *count, *barrier; } rwc_thread_pool;

    int rwc_amx_ready(void);
    int rwc_amx_fits(const rwc_layer *l);
    void rwc_amx_run(const rwc_layer *l, uintptr_t x, int64_t rows_in, uintptr_t y, int64_t rows, uintptr_t add,
                     uintptr_t leaky, int act, float slope, int threads, const rwc_thread_pool *thread_pool);

    typedef struct {
        const rwc_layer *qkv, *out, *up, *down;
        const float *norm[4];
        const float *near_key, *near_value;
        int64_t heads, reach;
        int act;
    } rwc_encoder;

    int64_t rwc_amx_encoder_scratch(const rwc_encoder *e, int64_t rows);
    int rwc_amx_encoder_fits(int64_t width, int64_t heads, int64_t reach);
    int rwc_amx_most_rows(void);
    void rwc_amx_encode(const rwc_encoder *e, uintptr_t x, int64_t rows, uintptr_t scratch, int threads,
                        const rwc_thread_pool *thread_pool);

    typedef struct {
        const rwc_layer *const *layers;
        int64_t blocks, steps, convolutions;
        float slope;
    } rwc_blocks;

    int64_t rwc_amx_blocks_scratch(const rwc_blocks *b, int64_t rows);
    void rwc_amx_blocks(const rwc_blocks *b, uintptr_t x, uintptr_t y, int64_t rows, float slope, uintptr_t scratch,
                        int threads, const rwc_thread_pool *thread_pool);

    typedef struct {
        const rwc_layer *up, *down;
        const float *norm[2];
        const float *taps, *bias;
        int64_t kernel;
    } rwc_conformer;

    int64_t rwc_amx_conformer_scratch(const rwc_conformer *f, int64_t rows);
    void rwc_amx_conform(const rwc_conformer *f, uintptr_t x, uintptr_t y, int64_t rows, uintptr_t scratch, int threads,
                         const rwc_thread_pool *thread_pool);

    typedef struct { const rwc_layer *pre, *in[8], *onward[8], *post; } rwc_coupling;
    typedef struct {
        const rwc_coupling *couplings;
        int64_t count, layers;
    } rwc_flow;

    int rwc_amx_most_gated(void);
    int64_t rwc_amx_flow_scratch(const rwc_flow *f, int64_t rows);
    void rwc_amx_flow(const rwc_flow *f, uintptr_t x, uintptr_t conditions, int64_t rows, uintptr_t scratch,
                      int threads, const rwc_thread_pool *thread_pool);
    """
)
ffi.set_source(
    "rwc_daemon.voices.native._amx",
    "\n".join(f'#include "{name}"' for name in SOURCES),
    include_dirs=[str(HERE)],
    extra_compile_args=["-std=gnu11", "-O2", "-D_GNU_SOURCE"],
    depends=[os.path.relpath(HERE / name) for name in SOURCES],
)

if __name__ == "__main__":
    # named as pip names it: of two builds side by side the older could win
    ffi.compile(tmpdir=str(HERE.parents[2]), target="_amx.abi3.so", verbose=True)
