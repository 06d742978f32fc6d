"""Builds `rwc_daemon.voices.native._native`: nets in routines of our own, once for each instruction set.

Run as a program it puts the extension beside its source (a development tree); setuptools uses `ffi`.
"""

import os
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SOURCES = ("layers.c", "isa_amx.c", "isa_portable.c")
ffi = FFI()
ffi.cdef(
    """
    #define RWC_PLAIN ...
    #define RWC_RELU ...
    #define RWC_LEAKY ...
    #define RWC_GELU ...
    typedef struct rwc_isa rwc_isa;
    const rwc_isa *rwc_isa_named(const char *name);
    int rwc_isa_ready(const rwc_isa *isa);

    typedef struct {
        const rwc_isa *isa;
        const void *w;
        const float *scale, *bias;
        const int32_t *span;
        int64_t in, out, taps, stride, dilation, padding, pitch;
    } rwc_layer;
    typedef struct { void *parallel, *number, *count, *barrier; } rwc_thread_pool;

    int rwc_layer_fits(const rwc_layer *l);
    void rwc_layer_run(const rwc_layer *l, uintptr_t x, int64_t rows_in, uintptr_t y, int64_t rows, uintptr_t add,
                     uintptr_t leaky, int act, float slope, int threads, const rwc_thread_pool *thread_pool);

    typedef struct {
        const rwc_layer *qkv, *out, *up, *down;
        const float *norm[4];
        const float *near_key, *near_value;
        int64_t heads, reach;
        int act;
    } rwc_encoder;

    int64_t rwc_encoder_scratch(const rwc_encoder *e, int64_t rows);
    int rwc_encoder_fits(int64_t width, int64_t heads, int64_t reach);
    int rwc_encoder_most_rows(void);
    void rwc_encoder_run(const rwc_encoder *e, uintptr_t x, int64_t rows, uintptr_t scratch, int threads,
                        const rwc_thread_pool *thread_pool);

    typedef struct {
        const rwc_layer *const *layers;
        int64_t blocks, steps, convolutions;
        float slope;
    } rwc_blocks;

    int64_t rwc_blocks_scratch(const rwc_blocks *b, int64_t rows);
    void rwc_blocks_run(const rwc_blocks *b, uintptr_t x, uintptr_t y, int64_t rows, float slope, uintptr_t scratch,
                        int threads, const rwc_thread_pool *thread_pool);

    typedef struct {
        const rwc_layer *up, *down;
        const float *norm[2];
        const float *taps, *bias;
        int64_t kernel;
    } rwc_conformer;

    int64_t rwc_conformer_scratch(const rwc_conformer *f, int64_t rows);
    void rwc_conformer_run(const rwc_conformer *f, uintptr_t x, uintptr_t y, int64_t rows, uintptr_t scratch,
                           int threads, const rwc_thread_pool *thread_pool);

    typedef struct { const rwc_layer *pre, *in[8], *onward[8], *post; } rwc_coupling;
    typedef struct {
        const rwc_coupling *couplings;
        int64_t count, layers;
    } rwc_flow;

    int rwc_flow_most_gated(void);
    int64_t rwc_flow_scratch(const rwc_flow *f, int64_t rows);
    void rwc_flow_run(const rwc_flow *f, uintptr_t x, uintptr_t conditions, int64_t rows, uintptr_t scratch,
                      int threads, const rwc_thread_pool *thread_pool);
    """
)
ffi.set_source(
    "rwc_daemon.voices.native._native",
    """
    #include "layers.h"
    const rwc_isa *rwc_isa_named(const char *name);
    int rwc_isa_ready(const rwc_isa *isa);
    int rwc_layer_fits(const rwc_layer *l);
    void rwc_layer_run(const rwc_layer *l, uintptr_t x, int64_t rows_in, uintptr_t y, int64_t rows, uintptr_t add,
                       uintptr_t leaky, int act, float slope, int threads, const rwc_thread_pool *pool);
    int64_t rwc_encoder_scratch(const rwc_encoder *e, int64_t rows);
    int rwc_encoder_fits(int64_t width, int64_t heads, int64_t reach);
    int rwc_encoder_most_rows(void);
    void rwc_encoder_run(const rwc_encoder *e, uintptr_t x, int64_t rows, uintptr_t scratch, int threads,
                         const rwc_thread_pool *pool);
    int64_t rwc_blocks_scratch(const rwc_blocks *b, int64_t rows);
    void rwc_blocks_run(const rwc_blocks *b, uintptr_t x, uintptr_t y, int64_t rows, float slope, uintptr_t scratch,
                        int threads, const rwc_thread_pool *pool);
    int64_t rwc_conformer_scratch(const rwc_conformer *f, int64_t rows);
    void rwc_conformer_run(const rwc_conformer *f, uintptr_t x, uintptr_t y, int64_t rows, uintptr_t scratch,
                           int threads, const rwc_thread_pool *pool);
    int rwc_flow_most_gated(void);
    int64_t rwc_flow_scratch(const rwc_flow *f, int64_t rows);
    void rwc_flow_run(const rwc_flow *f, uintptr_t x, uintptr_t conditions, int64_t rows, uintptr_t scratch,
                      int threads, const rwc_thread_pool *pool);
    """,
    sources=[os.path.relpath(HERE / name, ROOT) for name in SOURCES],
    include_dirs=[str(HERE)],
    # vectors are passed between functions that are all inlined: how a call would pass them is no matter
    extra_compile_args=["-std=gnu11", "-O2", "-D_GNU_SOURCE", "-Wno-psabi"],
    depends=[os.path.relpath(path, ROOT) for path in sorted(HERE.glob("*.[ch]")) if path.name != "_native.c"],
)

if __name__ == "__main__":
    # named as pip names it: of two builds side by side the older could win
    ffi.compile(tmpdir=str(ROOT), target="_native.abi3.so", verbose=True)
