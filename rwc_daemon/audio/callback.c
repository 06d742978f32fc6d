/* One cycle of the audio path, without JACK: no lock, no allocation, no system call but one non-blocking eventfd write
   per block. Whatever happens it plays converted voice or silence; microphone samples only in the mode bypass. */
#include "callback.h"

#include <unistd.h>

/* One writer per counter, so no locked instruction is needed. */
#define COUNT(counter, more) RWC_PUT(state->link->counter, RWC_PEEK(state->link->counter) + (more))

static uint32_t fade_length(rwc_state *state) {
  uint32_t rate = RWC_PEEK(state->rate), fade = rate / RWC_FADES_PER_SECOND;
  return fade < 1 ? 1 : fade > RWC_HISTORY / 2 ? RWC_HISTORY / 2 : fade;
}

/* Raised cosine: no corner at either end, so a fade adds no click of its own. */
static float gain_of(uint32_t at, uint32_t fade) {
  return at >= fade ? 1.0f : 0.5f - 0.5f * cosf((float)M_PI * (float)at / (float)fade);
}

static void remember(rwc_state *state, const float *samples, uint32_t n) {
  uint32_t kept = n < RWC_HISTORY ? n : RWC_HISTORY;
  rwc_copy_in(state->history, RWC_HISTORY, state->played + n - kept, samples + n - kept, kept);
  state->played += n;
}

/* What was just played, backwards: it goes on where the source stopped, without a jump. */
static float mirror(rwc_state *state) {
  uint64_t back = ++state->mirrored;
  return back > state->played || back > RWC_HISTORY ? 0.0f : state->history[(state->played - back) & (RWC_HISTORY - 1)];
}

/* Copies voice samples [pos - n, pos) and answers how many of them there are, from the first on. After a change to a
   longer playout delay those come round again that were played already: they stay silent, nothing is said twice. */
static uint32_t take_voice(rwc_state *state, float *out, uint32_t n) {
  rwc_link *link = state->link;
  uint64_t playout = state->playout >> 32, end = RWC_PEEK(link->mic_write), write = RWC_GET(link->voice_write);
  if (end < playout + n) return 0;
  uint64_t first = end - playout - n;
  if (first < RWC_GET(link->voice_start) || first < state->spoken || write <= first) return 0;
  uint32_t there = write - first < n ? (uint32_t)(write - first) : n;
  rwc_copy_out(rwc_voice(link), link->capacity, first, out, there);
  return there;
}

/* What of this cycle's voice is being played now, so never again. */
static void note_spoken(rwc_state *state, uint32_t n) {
  uint64_t end = RWC_PEEK(state->link->mic_write), playout = state->playout >> 32;
  if (state->mode == RWC_CONVERT && n && end > playout) state->spoken = end - playout;
}

static bool enough_to_start(rwc_state *state) {
  rwc_link *link = state->link;
  uint64_t playout = state->playout >> 32, slack = state->playout & UINT32_MAX;
  return RWC_GET(link->voice_write) + playout >= RWC_PEEK(link->mic_write) + slack;
}

static bool settings_changed(rwc_state *state) {
  return RWC_PEEK(state->link->mode) != state->mode || RWC_GET(state->link->playout) != state->playout;
}

void rwc_adopt(rwc_state *state) {
  state->mode = RWC_PEEK(state->link->mode);
  state->playout = RWC_GET(state->link->playout);
}

/* Samples of the adopted source in this cycle, copied to `out`. */
static uint32_t take_source(rwc_state *state, const float *in, float *out, uint32_t n, bool stored) {
  if (state->mode == RWC_CONVERT) return stored ? take_voice(state, out, n) : 0;
  if (state->mode != RWC_BYPASS) return 0;
  memcpy(out, in, n * sizeof(float));
  return n;
}

/* Applies the fade to `out`, which holds `there` samples of the source; beyond them it runs on over mirrored history. An
   ending begins to fade `lead` samples from now. Answers how many samples were heard. */
static uint32_t shape(rwc_state *state, float *out, uint32_t there, uint32_t lead, uint32_t n) {
  uint32_t fade = fade_length(state);
  if (state->gain > fade) state->gain = fade; /* the rate fell */
  for (uint32_t i = 0; i < n; i++) {
    if (state->phase == RWC_PLAYING && state->gain < fade) state->gain++;
    if (state->phase == RWC_ENDING && state->gain && i >= lead) state->gain--;
    if (state->gain == 0) {
      memset(out + i, 0, (n - i) * sizeof(float));
      state->phase = RWC_SILENT;
      return i;
    }
    out[i] = gain_of(state->gain, fade) * (i < there ? out[i] : mirror(state));
  }
  return n;
}

/* Moves the phase by what the source has, and counts an underrun. Answers after how many samples an ending fades: where
   the source runs out, the fade ends with its last sample if there is still room for it. */
static uint32_t turn(rwc_state *state, uint32_t there, uint32_t n) {
  bool leaving = settings_changed(state) || RWC_PEEK(state->leaving), short_of = there < n;
  if (state->phase == RWC_SILENT && !leaving && !short_of && (state->mode == RWC_BYPASS || enough_to_start(state)))
    state->phase = RWC_PLAYING;
  if (state->phase != RWC_PLAYING || !(leaving || short_of)) return 0;
  state->phase = RWC_ENDING;
  if (leaving) return 0;
  COUNT(underruns, 1);
  return there > state->gain ? there - state->gain : 0;
}

static void note_peak(_Atomic uint32_t *peak, const float *x, uint32_t n) {
  uint32_t bits = RWC_PEEK(*peak);
  float top;
  memcpy(&top, &bits, sizeof top);
  for (uint32_t i = 0; i < n; i++) top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
  memcpy(&bits, &top, sizeof bits);
  RWC_PUT(*peak, bits);
}

static void wake_engine(rwc_state *state) {
  uint64_t one = 1;
  if (!rwc_wake_due(state->link)) return;
  if (write(state->wake_fd, &one, sizeof one) < 0) return; /* already signalled: it will look */
}

/* The server's buffer may be another client's too, so it is never scaled in place. */
static const float *scaled(rwc_state *state, const float *in, uint32_t n) {
  float gain = RWC_PEEK(state->input_gain);
  if (gain == 1.0f || n > RWC_LONGEST_CYCLE) return in;
  for (uint32_t i = 0; i < n; i++) state->scaled[i] = gain * in[i];
  return state->scaled;
}

void rwc_run_cycle(rwc_state *state, const float *input, float *out, uint32_t n) {
  rwc_link *link = state->link;
  const float *in = scaled(state, input, n);
  if (state->phase == RWC_SILENT && settings_changed(state)) {
    rwc_adopt(state);
    COUNT(retargets, 1);
  }
  note_peak(&link->peak_in, in, n);
  bool stored = rwc_mic_put(link, in, n);
  if (!stored) COUNT(overruns, 1);
  wake_engine(state);

  uint32_t there = take_source(state, in, out, n, stored), lead = turn(state, there, n), heard = n;
  /* once the mirror has begun, samples that come late must not break into it */
  if (state->phase == RWC_ENDING && state->mirrored) there = 0;
  if (state->phase != RWC_SILENT) {
    remember(state, out, there);
    note_spoken(state, there);
  }
  if (state->phase == RWC_SILENT) {
    memset(out, 0, n * sizeof(float));
    heard = 0;
  } else if (state->phase == RWC_ENDING || state->gain != fade_length(state)) {
    heard = shape(state, out, there, lead, n);
  }
  if (state->phase != RWC_ENDING) state->mirrored = 0;
  if (state->mode == RWC_CONVERT) COUNT(silence_samples, n - heard);
  note_peak(&link->peak_out, out, n);
  RWC_PUT(state->silent, heard == 0);
}

/* Frame time that ran on without us is missed cycles; a jump of a second or more is another driver's clock. */
void rwc_count_cycle(rwc_state *state, uint32_t frames, uint32_t n, uint64_t started_ns) {
  rwc_link *link = state->link;
  rwc_clock *clock = &state->clock;
  uint32_t rate = RWC_PEEK(state->rate), longest = clock->quantum > n ? clock->quantum : n;
  if (clock->started_ns) {
    int64_t jump = (int32_t)(frames - clock->frames - clock->quantum);
    if (jump > 0 && jump < rate) COUNT(missed_cycles, (jump + n - 1) / n);
    uint64_t gap_ns = started_ns - clock->started_ns;
    if (gap_ns * rate > 1500000000ull * longest) COUNT(late_cycles, 1);
  }
  *clock = (rwc_clock){.started_ns = started_ns, .frames = frames, .quantum = n};
  COUNT(cycles, 1);
  RWC_PUT(link->last_cycle_ns, started_ns);
  RWC_PUT(link->quantum, n);
  RWC_PUT(link->rate, rate);
}

/* Eight buckets per octave; ring.py has the inverse. */
void rwc_count_body(rwc_link *link, uint64_t ns) {
  uint64_t t = ns < 8 ? 8 : ns > UINT32_MAX ? UINT32_MAX : ns;
  int octave = 63 - __builtin_clzll(t);
  int bucket = octave * 8 + (int)((t >> (octave - 3)) & 7);
  RWC_PUT(link->histogram[bucket], RWC_PEEK(link->histogram[bucket]) + 1);
  if (ns > RWC_PEEK(link->callback_max_ns)) RWC_PUT(link->callback_max_ns, ns);
}
