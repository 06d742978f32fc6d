/* The memory that daemon and engine share: a header, the microphone's ring and the voice's ring.

   Sample indexes are absolute 64-bit counts, masked on access; voice sample k is the conversion of microphone sample k.
   Every counter has one writer (who: see each block) and a cache line shared only with counters of the same writer. A
   payload is published by a release store of its counter and read after an acquire load, which x86-64 and aarch64 both
   need, the one for the compiler and the other for the machine too. */
#ifndef RWC_RING_H
#define RWC_RING_H

#include <math.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define RWC_MAGIC 0x52574331u /* "RWC1" */
#define RWC_VERSION 3u
#define RWC_HISTOGRAM 256 /* of nanoseconds: eight buckets per octave */

enum { RWC_CONVERT = 0, RWC_MUTE = 1, RWC_BYPASS = 2 };
enum { RWC_OK = 0, RWC_STALE = -1, RWC_SHORT = -2, RWC_AHEAD = -3 };

typedef _Atomic uint64_t rwc_count;

typedef struct {
  uint32_t magic, version;
  uint64_t capacity; /* samples per ring, a power of two */

  /* the daemon writes */
  alignas(64) rwc_count generation;
  _Atomic uint32_t mode;

  /* the callback writes */
  alignas(64) rwc_count mic_write;

  /* the engine writes, once a stream or less */
  alignas(64) rwc_count playout; /* samples << 32 | slack: one word, so that the callback never sees half a change */
  rwc_count wake_block;          /* samples that the engine wants at once */

  /* the engine writes */
  alignas(64) rwc_count mic_read;
  rwc_count joined; /* generation of the engine that reads and writes */
  rwc_count skipped;
  alignas(64) rwc_count voice_write;
  rwc_count voice_start;
  alignas(64) rwc_count wanted; /* the engine sleeps until mic_write is here; 0: it does not sleep */

  /* the callback counts */
  alignas(64) rwc_count cycles;
  rwc_count missed_cycles, late_cycles, xruns, underruns, overruns, retargets, silence_samples;
  rwc_count last_cycle_ns, callback_max_ns;
  _Atomic uint32_t quantum, rate, peak_in, peak_out, peak_beside; /* peaks: the bits of a float */
  alignas(64) rwc_count histogram[RWC_HISTOGRAM];

  alignas(64) float samples[]; /* mic ring, then voice ring */
} rwc_link;

#define RWC_GET(field) atomic_load_explicit(&(field), memory_order_acquire)
#define RWC_PEEK(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define RWC_PUT(field, value) atomic_store_explicit(&(field), (value), memory_order_release)

static inline uint64_t rwc_link_bytes(uint64_t capacity) {
  return sizeof(rwc_link) + 2 * capacity * sizeof(float);
}

static inline float *rwc_mic(rwc_link *link) { return link->samples; }
static inline float *rwc_voice(rwc_link *link) { return link->samples + link->capacity; }

/* Copies n samples out of a ring from index `from`; n is at most the capacity. */
static inline void rwc_copy_out(const float *ring, uint64_t capacity, uint64_t from, float *out, uint64_t n) {
  uint64_t at = from & (capacity - 1), first = capacity - at < n ? capacity - at : n;
  memcpy(out, ring + at, first * sizeof(float));
  memcpy(out + first, ring, (n - first) * sizeof(float));
}

static inline void rwc_copy_in(float *ring, uint64_t capacity, uint64_t to, const float *in, uint64_t n) {
  uint64_t at = to & (capacity - 1), first = capacity - at < n ? capacity - at : n;
  memcpy(ring + at, in, first * sizeof(float));
  memcpy(ring, in + first, (n - first) * sizeof(float));
}

static inline bool rwc_is_joined(rwc_link *link) { return RWC_GET(link->joined) == RWC_GET(link->generation); }

/* The callback's end of the mic ring: all n samples, or none and false where a living engine has not kept up. With no
   engine there is nobody to overrun: the index runs on. */
static inline bool rwc_mic_put(rwc_link *link, const float *in, uint32_t n) {
  uint64_t write = RWC_PEEK(link->mic_write);
  if (rwc_is_joined(link) && write + n - RWC_GET(link->mic_read) > link->capacity) return false;
  rwc_copy_in(rwc_mic(link), link->capacity, write, in, n);
  RWC_PUT(link->mic_write, write + n);
  return true;
}

/* True once for each sleep of the engine, as soon as the samples are there that it sleeps for. */
static inline bool rwc_wake_due(rwc_link *link) {
  atomic_thread_fence(memory_order_seq_cst); /* mic_write before wanted: rwc_sleep_until has the mirror of it */
  uint64_t wanted = RWC_PEEK(link->wanted);
  if (wanted == 0 || RWC_PEEK(link->mic_write) < wanted) return false;
  RWC_PUT(link->wanted, 0);
  return true;
}

/* False: the samples are there already, do not sleep. */
static inline bool rwc_sleep_until(rwc_link *link, uint64_t index) {
  RWC_PUT(link->wanted, index);
  atomic_thread_fence(memory_order_seq_cst);
  if (RWC_GET(link->mic_write) < index) return true;
  RWC_PUT(link->wanted, 0);
  return false;
}

/* An engine takes the rings over: it starts at the newest microphone sample. voice_start goes first, so that nobody
   who has seen the new voice_write takes older memory for voice. */
static inline int rwc_join(rwc_link *link, uint64_t generation) {
  if (RWC_GET(link->generation) != generation) return RWC_STALE;
  uint64_t now = RWC_GET(link->mic_write);
  RWC_PUT(link->wanted, 0);
  RWC_PUT(link->mic_read, now);
  RWC_PUT(link->voice_start, now);
  RWC_PUT(link->voice_write, now);
  RWC_PUT(link->joined, generation);
  return RWC_OK;
}

static inline uint64_t rwc_available(rwc_link *link) { return RWC_GET(link->mic_write) - RWC_PEEK(link->mic_read); }

static inline int rwc_mic_get(rwc_link *link, uint64_t generation, float *out, uint64_t n) {
  uint64_t read = RWC_PEEK(link->mic_read);
  if (RWC_GET(link->generation) != generation) return RWC_STALE;
  if (RWC_GET(link->mic_write) - read < n) return RWC_SHORT;
  if (out) rwc_copy_out(rwc_mic(link), link->capacity, read, out, n);
  /* compare and swap: an engine that was replaced while it copied must not move the counter of the next */
  return atomic_compare_exchange_strong(&link->mic_read, &read, read + n) ? RWC_OK : RWC_STALE;
}

/* A sample that is no number becomes silence here, before anyone can hear it. `y` NULL: these n samples have no voice.
   Then nothing up to their end is played any more, or a changed playout delay would play the zeros between two sounds without a
   fade. As in rwc_join voice_start goes first. */
static inline int rwc_voice_put(rwc_link *link, uint64_t generation, const float *y, uint64_t n) {
  uint64_t write = RWC_PEEK(link->voice_write), start = RWC_PEEK(link->voice_start);
  if (RWC_GET(link->generation) != generation) return RWC_STALE;
  if (write + n > RWC_PEEK(link->mic_read)) return RWC_AHEAD;
  float *ring = rwc_voice(link);
  for (uint64_t i = 0; i < n; i++) ring[(write + i) & (link->capacity - 1)] = y && isfinite(y[i]) ? y[i] : 0.0f;
  if (!y && !atomic_compare_exchange_strong(&link->voice_start, &start, write + n)) return RWC_STALE;
  return atomic_compare_exchange_strong(&link->voice_write, &write, write + n) ? RWC_OK : RWC_STALE;
}

/* Samples by which voice_write is behind what the callback plays next; positive is late. */
static inline int64_t rwc_lag(rwc_link *link) {
  uint64_t playout = RWC_GET(link->playout) >> 32;
  return (int64_t)(RWC_GET(link->mic_write) - playout - RWC_PEEK(link->voice_write));
}

#endif
