"""Builds `rwc_daemon.link._ring`, the engine's and the daemon's ends of the shared rings.

Run as a program it puts the extension beside its source (a development tree); setuptools uses `ffi`.
"""

import os
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
ffi = FFI()
ffi.cdef(
    """
    #define RWC_OK ...
    #define RWC_STALE ...
    #define RWC_SHORT ...
    #define RWC_AHEAD ...
    typedef ... rwc_link;
    typedef struct {
        uint64_t cycles, missed_cycles, late_cycles, xruns, underruns, overruns, retargets, silence_samples,
                 skipped_samples, last_cycle_ns, callback_max_ns;
        uint32_t quantum, rate;
        uint64_t histogram[256];
    } rwc_snapshot;

    uint64_t rwc_link_bytes(uint64_t capacity);
    void rwc_format(rwc_link *link, uint64_t capacity);
    uint64_t rwc_capacity_of(rwc_link *link, uint64_t bytes);
    uint64_t rwc_new_generation(rwc_link *link);
    void rwc_set_playout(rwc_link *link, uint32_t playout, uint32_t slack);
    void rwc_set_wake(rwc_link *link, uint64_t block);
    void rwc_set_mode(rwc_link *link, uint32_t mode);
    void rwc_take_snapshot(rwc_link *link, rwc_snapshot *into);
    void rwc_reset_timings(rwc_link *link);
    float rwc_take_peak(rwc_link *link, int output);

    int rwc_join(rwc_link *link, uint64_t generation);
    uint64_t rwc_available(rwc_link *link);
    uint64_t rwc_position(rwc_link *link);
    int64_t rwc_lag(rwc_link *link);
    int rwc_wait(rwc_link *link, int wake_fd, int timeout_ms);
    int rwc_mic_get(rwc_link *link, uint64_t generation, float *out, uint64_t n);
    int rwc_voice_put(rwc_link *link, uint64_t generation, const float *y, uint64_t n);
    int rwc_skip(rwc_link *link, uint64_t generation, uint64_t n);
    int rwc_mic_put(rwc_link *link, const float *in, uint32_t n);
    int rwc_wake_due(rwc_link *link);
    """
)
ffi.set_source(
    "rwc_daemon.link._ring",
    '#include "ring.c"',
    include_dirs=[str(HERE)],
    extra_compile_args=["-std=c11", "-O2", "-D_GNU_SOURCE"],
    depends=[os.path.relpath(HERE / name) for name in ("ring.h", "ring.c")],
)

if __name__ == "__main__":
    # named as pip names it: of two builds side by side the older could win
    ffi.compile(tmpdir=str(HERE.parents[1]), target="_ring.abi3.so", verbose=True)
