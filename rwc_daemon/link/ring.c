/* What the Python face of the rings calls, beyond the inline functions of ring.h. */
#include "ring.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

typedef struct {
  uint64_t cycles, missed_cycles, late_cycles, xruns, underruns, overruns, retargets, silence_samples, skipped_samples,
      last_cycle_ns, callback_max_ns;
  uint32_t quantum, rate;
  uint64_t histogram[RWC_HISTOGRAM];
} rwc_snapshot;

/* Memory comes zeroed from the kernel. Silence until the daemon says otherwise. */
static void rwc_format(rwc_link *link, uint64_t capacity) {
  link->capacity = capacity;
  link->version = RWC_VERSION;
  RWC_PUT(link->mode, RWC_MUTE);
  RWC_PUT(link->generation, 1);
  link->magic = RWC_MAGIC;
}

/* 0 where the memory is not a link of this version. */
static uint64_t rwc_capacity_of(rwc_link *link, uint64_t bytes) {
  if (bytes < sizeof(rwc_link) || link->magic != RWC_MAGIC || link->version != RWC_VERSION) return 0;
  return rwc_link_bytes(link->capacity) == bytes ? link->capacity : 0;
}

static uint64_t rwc_new_generation(rwc_link *link) { return atomic_fetch_add(&link->generation, 1) + 1; }

static void rwc_set_playout(rwc_link *link, uint32_t playout, uint32_t slack) {
  RWC_PUT(link->playout, (uint64_t)playout << 32 | slack);
}

static void rwc_set_wake(rwc_link *link, uint64_t block) { RWC_PUT(link->wake_block, block); }

static void rwc_set_mode(rwc_link *link, uint32_t mode) { RWC_PUT(link->mode, mode); }

static void rwc_take_snapshot(rwc_link *link, rwc_snapshot *s) {
  s->cycles = RWC_GET(link->cycles);
  s->missed_cycles = RWC_GET(link->missed_cycles);
  s->late_cycles = RWC_GET(link->late_cycles);
  s->xruns = RWC_GET(link->xruns);
  s->underruns = RWC_GET(link->underruns);
  s->overruns = RWC_GET(link->overruns);
  s->retargets = RWC_GET(link->retargets);
  s->silence_samples = RWC_GET(link->silence_samples);
  s->skipped_samples = RWC_GET(link->skipped);
  s->last_cycle_ns = RWC_GET(link->last_cycle_ns);
  s->callback_max_ns = RWC_GET(link->callback_max_ns);
  s->quantum = RWC_GET(link->quantum);
  s->rate = RWC_GET(link->rate);
  for (int i = 0; i < RWC_HISTOGRAM; i++) s->histogram[i] = RWC_GET(link->histogram[i]);
}

/* Counts that arrive meanwhile may be lost; nothing else. */
static void rwc_reset_timings(rwc_link *link) {
  for (int i = 0; i < RWC_HISTOGRAM; i++) RWC_PUT(link->histogram[i], 0);
  RWC_PUT(link->callback_max_ns, 0);
}

/* 0: what came in, 1: what went out, 2: the microphone's other channel. */
static float rwc_take_peak(rwc_link *link, int which) {
  _Atomic uint32_t *peaks[] = {&link->peak_in, &link->peak_out, &link->peak_beside};
  uint32_t bits = atomic_exchange(peaks[which], 0);
  float peak;
  memcpy(&peak, &bits, sizeof peak);
  return peak;
}

static uint64_t rwc_position(rwc_link *link) { return RWC_PEEK(link->mic_read); }

/* 1: a wake-up block is there. 0: the time is over. -1: interrupted by a signal, ask again. */
static int rwc_wait(rwc_link *link, int wake_fd, int timeout_ms) {
  uint64_t block = RWC_GET(link->wake_block), events;
  uint64_t until = RWC_PEEK(link->mic_read) + (block ? block : 1);
  if (!rwc_sleep_until(link, until)) return 1;
  struct pollfd wake = {.fd = wake_fd, .events = POLLIN};
  int woken = poll(&wake, 1, timeout_ms);
  if (woken < 0) return -1;
  if (woken > 0 && read(wake_fd, &events, sizeof events) < 0 && errno != EAGAIN) return -1;
  RWC_PUT(link->wanted, 0);
  if (RWC_GET(link->mic_write) >= until) return 1;
  return woken > 0 ? -1 : 0;
}

/* Drops n microphone samples and leaves their turn in the voice ring silent. */
static int rwc_skip(rwc_link *link, uint64_t generation, uint64_t n) {
  int status = rwc_mic_get(link, generation, NULL, n);
  if (status == RWC_OK) status = rwc_voice_put(link, generation, NULL, n);
  if (status == RWC_OK) RWC_PUT(link->skipped, RWC_PEEK(link->skipped) + n);
  return status;
}
