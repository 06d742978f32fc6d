/* The native side of our JACK clients: functions of the libjack that JACK-Client has loaded, and the callbacks that
   are registered with them. Found at run time, so that one build serves PipeWire's libjack and JACK2's. */
#include "callback.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

enum { CAPTURE_LATENCY, PLAYBACK_LATENCY };
typedef struct {
  uint32_t min, max;
} rwc_range;

/* The signatures of jack/jack.h that JACK-Client lacks, or that a callback needs. */
typedef struct {
  int (*set_process_callback)(void *client, int (*callback)(uint32_t, void *), void *arg);
  int (*set_thread_init_callback)(void *client, void (*callback)(void *), void *arg);
  void (*on_shutdown)(void *client, void (*callback)(void *), void *arg);
  int (*set_latency_callback)(void *client, void (*callback)(int, void *), void *arg);
  int (*set_sample_rate_callback)(void *client, int (*callback)(uint32_t, void *), void *arg);
  int (*set_xrun_callback)(void *client, int (*callback)(void *), void *arg);
  void *(*port_get_buffer)(void *port, uint32_t n);
  uint32_t (*last_frame_time)(void *client);
  void (*port_get_latency_range)(void *port, int mode, rwc_range *range);
  void (*port_set_latency_range)(void *port, int mode, rwc_range *range);
  int (*recompute_total_latencies)(void *client);
} rwc_libjack;

static rwc_libjack jack; /* filled once by rwc_bind_libjack, only read afterwards */

/* NULL, or the name of a function that this libjack lacks. `library` is already loaded. */
static const char *rwc_bind_libjack(const char *library) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
  if (!handle) return "libjack itself";
  const struct { const char *name; void *into; } wanted[] = {
      {"jack_set_process_callback", &jack.set_process_callback},
      {"jack_set_thread_init_callback", &jack.set_thread_init_callback},
      {"jack_on_shutdown", &jack.on_shutdown},
      {"jack_set_latency_callback", &jack.set_latency_callback},
      {"jack_set_sample_rate_callback", &jack.set_sample_rate_callback},
      {"jack_set_xrun_callback", &jack.set_xrun_callback},
      {"jack_port_get_buffer", &jack.port_get_buffer},
      {"jack_last_frame_time", &jack.last_frame_time},
      {"jack_port_get_latency_range", &jack.port_get_latency_range},
      {"jack_port_set_latency_range", &jack.port_set_latency_range},
      {"jack_recompute_total_latencies", &jack.recompute_total_latencies},
  };
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    void *found = dlsym(handle, wanted[i].name);
    if (!found) return wanted[i].name;
    memcpy(wanted[i].into, &found, sizeof found);
  }
  return NULL;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void notify(rwc_state *state, uint32_t event) {
  uint64_t one = 1;
  atomic_fetch_or(&state->events, event);
  if (write(state->notify_fd, &one, sizeof one) < 0) return; /* signalled already */
}

/* Denormals cost hundreds of cycles each where a voice fades out. */
static void flush_denormals(void) {
#if defined(__SSE__)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
  uint64_t fpcr;
  __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
  __asm__ volatile("msr fpcr, %0" : : "r"(fpcr | 1ull << 24));
#endif
}

static void on_thread_init(void *arg) {
  rwc_state *state = arg;
  flush_denormals();
  RWC_PUT(state->thread, (int32_t)syscall(SYS_gettid));
}

/* The part that every client of ours shares; `run` is what it does with the samples. */
static inline int cycle(rwc_state *state, uint32_t n, void (*run)(rwc_state *, const float *, float *, uint32_t)) {
  uint64_t started_ns = now_ns();
  const float *in = jack.port_get_buffer(state->input, n);
  float *out = jack.port_get_buffer(state->output, n);
  if (!in || !out || !n) return 0;
  bool changed = RWC_PEEK(state->link->quantum) != n;
  rwc_count_cycle(state, jack.last_frame_time(state->client), n, started_ns);
  run(state, in, out, n);
  const float *beside = jack.port_get_buffer(state->meter, n);
  if (beside) note_peak(&state->link->peak_beside, beside, n);
  if (changed) notify(state, RWC_QUANTUM);
  rwc_count_body(state->link, now_ns() - started_ns);
  return 0;
}

static int on_process(uint32_t n, void *arg) { return cycle(arg, n, rwc_run_cycle); }

static void pass_through(rwc_state *state, const float *in, float *out, uint32_t n) {
  (void)state;
  memcpy(out, in, n * sizeof(float));
}
static int on_process_plain(uint32_t n, void *arg) { return cycle(arg, n, pass_through); }

static void on_shutdown(void *arg) { notify(arg, RWC_SHUTDOWN); }

static int on_sample_rate(uint32_t rate, void *arg) {
  rwc_state *state = arg;
  if (atomic_exchange(&state->rate, rate) != rate) notify(state, RWC_RATE);
  return 0;
}

static int on_xrun(void *arg) {
  rwc_state *state = arg;
  atomic_fetch_add(&state->link->xruns, 1);
  return 0;
}

/* What comes out is as late as what comes in, and our delay more; seen from the recorder's side likewise. */
static void set_latency(rwc_state *state, int mode) {
  rwc_range range;
  void *from = mode == CAPTURE_LATENCY ? state->input : state->output;
  void *to = mode == CAPTURE_LATENCY ? state->output : state->input;
  uint32_t delay = RWC_GET(state->delay);
  jack.port_get_latency_range(from, mode, &range);
  range.min += delay;
  range.max += delay;
  jack.port_set_latency_range(to, mode, &range);
}

/* PipeWire's libjack (0.3.65) calls this with a lock held that jack_port_set_latency_range may need again: where another
   notification is waiting, its thread would wait for itself for ever. There a thread of ours does the work. */
static void on_latency(int mode, void *arg) {
  rwc_state *state = arg;
  if (state->defer_latency) notify(state, RWC_LATENCY);
  else set_latency(state, mode);
}

static void rwc_update_latencies(rwc_state *state) {
  if (!state->defer_latency) {
    jack.recompute_total_latencies(state->client);
    return;
  }
  set_latency(state, CAPTURE_LATENCY);
  set_latency(state, PLAYBACK_LATENCY);
}

/* 0, or which registration was refused, from 1 on. Before the client is activated. */
static int rwc_register(rwc_state *state, int plain) {
  void *client = state->client;
  if (jack.set_process_callback(client, plain ? on_process_plain : on_process, state)) return 1;
  if (jack.set_thread_init_callback(client, on_thread_init, state)) return 2;
  if (jack.set_latency_callback(client, on_latency, state)) return 3;
  if (jack.set_sample_rate_callback(client, on_sample_rate, state)) return 4;
  if (jack.set_xrun_callback(client, on_xrun, state)) return 5;
  jack.on_shutdown(client, on_shutdown, state);
  return 0;
}

/* Samples before our input (capture) or behind our output (playback). */
static uint32_t rwc_port_latency(rwc_state *state, int playback) {
  rwc_range range = {0, 0};
  jack.port_get_latency_range(playback ? state->output : state->input, playback, &range);
  return range.max;
}

/* Best effort: touched once, so that no cycle meets a page fault, and kept in memory where the limits allow. */
static int rwc_lock(void *memory, uint64_t bytes) {
  volatile char *byte = memory;
  for (uint64_t i = 0; i < bytes; i += 4096) byte[i] = byte[i];
  return mlock(memory, bytes);
}

/* Where in the signal this cycle begins, and how many of its n samples lie in it. `begun` is read before `length`: who
   sees the new 0 of the one sees no old value of the other. A clock that ran backwards (another driver) is the end. */
static uint64_t probe_place(rwc_probe *probe, void *client, uint32_t n, uint64_t *at) {
  uint64_t begun = RWC_GET(probe->begun), length = RWC_GET(probe->length);
  int32_t since = begun ? (int32_t)(jack.last_frame_time(client) - RWC_PEEK(probe->start)) : 0;
  *at = since < 0 || (uint64_t)since > length ? length : (uint64_t)since;
  if (!begun) return 0;
  return length - *at < n ? length - *at : n;
}

static int on_probe_plays(uint32_t n, void *arg) {
  rwc_probe *probe = arg;
  float *out = jack.port_get_buffer(probe->output, n);
  if (!out) return 0;
  if (!RWC_GET(probe->begun) && RWC_GET(probe->length)) {
    RWC_PUT(probe->start, jack.last_frame_time(probe->player));
    RWC_PUT(probe->begun, 1);
  }
  uint64_t at, now = probe_place(probe, probe->player, n, &at);
  if (now) memcpy(out, probe->play + at, now * sizeof(float));
  memset(out + now, 0, (n - now) * sizeof(float));
  return 0;
}

static int on_probe_records(uint32_t n, void *arg) {
  rwc_probe *probe = arg;
  const float *in = jack.port_get_buffer(probe->input, n);
  if (!in) return 0;
  uint64_t at, now = probe_place(probe, probe->recorder, n, &at);
  if (now) memcpy(probe->record + at, in, now * sizeof(float));
  RWC_PUT(probe->at, at + now);
  return 0;
}

/* The signal before has ended, so the callbacks touch nothing until `length` is set again. */
static void rwc_arm_probe(rwc_probe *probe, const float *play, float *record, uint64_t length) {
  RWC_PUT(probe->length, 0);
  RWC_PUT(probe->begun, 0);
  probe->play = play;
  probe->record = record;
  RWC_PUT(probe->at, 0);
  RWC_PUT(probe->length, length);
}

static int rwc_register_probe(rwc_probe *probe) {
  return jack.set_process_callback(probe->player, on_probe_plays, probe) ||
         jack.set_process_callback(probe->recorder, on_probe_records, probe);
}
