"""Builds `rwc_daemon.audio._callback`, the native part of our JACK clients.

Run as a program it puts the extension beside its source (a development tree); setuptools uses `ffi`. It needs no
libjack to build: the functions are found at run time.
"""

import os
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
SOURCES = ("callback.h", "callback.c", "client.c", "../link/ring.h")
ffi = FFI()
ffi.cdef(
    """
    #define RWC_RATE ...
    #define RWC_QUANTUM ...
    #define RWC_SHUTDOWN ...
    #define RWC_LATENCY ...
    typedef ... rwc_link;
    typedef struct {
        rwc_link *link;
        int wake_fd, notify_fd, defer_latency;
        void *client, *input, *output, *meter;
        ...;
    } rwc_state;
    typedef struct {
        void *player, *recorder, *input, *output;
        ...;
    } rwc_probe;

    const char *rwc_bind_libjack(const char *library);
    int rwc_register(rwc_state *state, int plain);
    int rwc_register_probe(rwc_probe *probe);
    void rwc_arm_probe(rwc_probe *probe, const float *play, float *record, uint64_t length);
    uint64_t rwc_probe_position(rwc_probe *probe);
    void rwc_update_latencies(rwc_state *state);
    uint32_t rwc_port_latency(rwc_state *state, int playback);
    int rwc_lock(void *memory, uint64_t bytes);

    void rwc_adopt(rwc_state *state);
    void rwc_set_rate(rwc_state *state, uint32_t rate);
    void rwc_set_delay(rwc_state *state, uint32_t delay);
    void rwc_set_input_gain(rwc_state *state, float gain);
    uint32_t rwc_take_events(rwc_state *state);
    int32_t rwc_thread(rwc_state *state);
    void rwc_leave(rwc_state *state);
    int rwc_is_silent(rwc_state *state);
    void rwc_test_cycle(rwc_state *state, const float *in, float *out, uint32_t n, uint32_t frames, uint64_t time_ns);
    """
)
ffi.set_source(
    "rwc_daemon.audio._callback",
    """
    #include "callback.c"
    #include "client.c"

    static void rwc_set_rate(rwc_state *state, uint32_t rate) { RWC_PUT(state->rate, rate); }
    static void rwc_set_delay(rwc_state *state, uint32_t delay) { RWC_PUT(state->delay, delay); }
    static void rwc_set_input_gain(rwc_state *state, float gain) { RWC_PUT(state->input_gain, gain); }
    static uint32_t rwc_take_events(rwc_state *state) { return atomic_exchange(&state->events, 0); }
    static int32_t rwc_thread(rwc_state *state) { return RWC_GET(state->thread); }
    static void rwc_leave(rwc_state *state) { RWC_PUT(state->leaving, 1); }
    static int rwc_is_silent(rwc_state *state) { return RWC_GET(state->silent); }
    static uint64_t rwc_probe_position(rwc_probe *probe) { return RWC_GET(probe->at); }
    static void rwc_test_cycle(rwc_state *state, const float *in, float *out, uint32_t n, uint32_t frames,
                               uint64_t time_ns) {
      rwc_count_cycle(state, frames, n, time_ns);
      rwc_run_cycle(state, in, out, n);
    }
    """,
    include_dirs=[str(HERE)],
    extra_compile_args=["-std=c11", "-O2", "-fno-math-errno", "-D_GNU_SOURCE"],
    libraries=["m", "dl"],
    depends=[os.path.relpath(HERE / name) for name in SOURCES],
)

if __name__ == "__main__":
    # named as pip names it: of two builds side by side the older could win
    ffi.compile(tmpdir=str(HERE.parents[1]), target="_callback.abi3.so", verbose=True)
