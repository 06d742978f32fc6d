/* A voice made of the grains of yours: one call converts a piece of sound.

   Everything happens at absolute sample numbers: the tracker steps every 2.5 ms of input, a grain is chosen when its turn
   comes. A piece only says how far time has come, so its size changes no bit of the output. */
#include "pitch.h"

#include "glide.h"
#include "grains.h"

#define GLIDE_MS 20.0 /* a control turned is reached after this */
#define HELD_MS 250.0 /* of input: the oldest mark of the lowest voice, and a period around it */
#define FORMANT_LIMIT 18.0

/* Whether a low or a high voice is speaking: see speaker.py of the twin in testkit/builtin. The mean of its pitch on a
   logarithmic axis, from a man's to a woman's. */
#define LOW_HZ 110.0
#define HIGH_HZ 200.0
#define UNKNOWN_HOPS 20  /* weight of not knowing, in voiced hops of 2.5 ms */
#define MEMORY_HOPS 3200 /* 8 s of voiced sound: a question asked in a high voice does not move it */

/* what grains pile up below this is taken away: the drift of dsp/drift.py */
#define DRIFT_HZ 20.0
#define INAUDIBLE 1e-12 /* what is smaller is none: a sound that has ended ends exactly */
#define FORGOTTEN 1e-30 /* memory below this is cleared before its numbers become slow (denormal) */

struct rwc_pitch {
  double rate;
  rwc_history x;
  rwc_track track;
  rwc_marks marks;
  rwc_grains grains;
  rwc_glide pitch, formant, shifted;
  double low, high; /* the preset's formant for a low and for a high voice, semitones */
  double height, weight;
  double pole, drift;
  int64_t next_hop;
  double y[RWC_MOST_PIECE];
};

rwc_pitch *rwc_pitch_make(double rate, int64_t delay, const double *kernels, const double *speeds, int64_t speed_count,
                          int64_t phases, int64_t taps, double low, double high) {
  rwc_pitch *v = calloc(1, sizeof *v);
  if (!v) return NULL;
  v->rate = rate;
  v->low = low;
  v->high = high;
  v->height = 0.5;
  v->weight = UNKNOWN_HOPS;
  v->pole = exp(-2 * M_PI * DRIFT_HZ / rate);
  v->pitch.length = v->formant.length = v->shifted.length = llrint(GLIDE_MS * rate / 1000);
  v->grains.read = (rwc_interpolator){kernels, speeds, speed_count, phases, taps};
  if (rwc_history_make(&v->x, RWC_MOST_PIECE + llrint(HELD_MS * rate / 1000)) && rwc_track_make(&v->track, rate) &&
      rwc_marks_make(&v->marks, rate, delay + llrint(rate / LOWEST_HZ)) && rwc_grains_make(&v->grains, rate, delay)) {
    v->next_hop = v->track.hop;
    return v;
  }
  rwc_pitch_free(v);
  return NULL;
}

void rwc_pitch_free(rwc_pitch *v) {
  rwc_history_free(&v->x);
  free(v->track.memory);
  free(v->marks.memory);
  free(v->grains.cells);
  free(v);
}

static void rwc_pitch_hear(rwc_pitch *v, double period) {
  if (!period) return;
  v->weight = fmin(v->weight + 1, MEMORY_HOPS);
  double own = log(v->rate / period / LOW_HZ) / log(HIGH_HZ / LOW_HZ);
  /* an octave taken wrongly weighs no more than the end of the scale beyond the next */
  v->height += (rwc_clip(own, -0.5, 1.5) - v->height) / v->weight;
}

/* What the controls ask `ahead` samples after the piece's beginning. */
static rwc_shift rwc_pitch_shift(const rwc_pitch *v, int64_t ahead) {
  double formant = rwc_glide_at(&v->formant, ahead) + v->low + (v->high - v->low) * rwc_clip(v->height, 0, 1);
  return (rwc_shift){exp2(rwc_glide_at(&v->pitch, ahead) / 12),
                     exp2(rwc_clip(formant, -FORMANT_LIMIT, FORMANT_LIMIT) / 12)};
}

/* All events up to the newest sample, in the order of their times; the tracker first where they meet. */
static int rwc_pitch_live(rwc_pitch *v, int64_t begin) {
  for (;;) {
    int64_t due = rwc_grains_due(&v->grains);
    if ((v->next_hop < due ? v->next_hop : due) > v->x.end) return 1;
    if (v->next_hop <= due) {
      double period = rwc_track_step(&v->track, &v->x, v->next_hop);
      rwc_pitch_hear(v, period);
      rwc_marks_step(&v->marks, &v->x, v->next_hop, period);
      v->next_hop += v->track.hop;
    } else if (!rwc_grains_choose(&v->grains, &v->marks, rwc_pitch_shift(v, due - begin))) {
      return 0;
    }
  }
}

int rwc_pitch_convert(rwc_pitch *v, const float *x, int64_t n, double pitch, double formant, double shifted,
                      const double *luck, int64_t *used, float *y) {
  int64_t begin = v->x.end;
  v->grains.luck = luck;
  v->grains.used = 0;
  rwc_history_write(&v->x, x, n);
  rwc_glide_aim(&v->pitch, pitch);
  rwc_glide_aim(&v->formant, formant);
  rwc_glide_aim(&v->shifted, shifted);
  if (!rwc_pitch_live(v, begin)) return RWC_NO_MEMORY;
  rwc_glide_advance(&v->pitch, n);
  rwc_glide_advance(&v->formant, n);
  rwc_grains_render(&v->grains, &v->x, begin - v->grains.delay, begin + n - v->grains.delay, v->y);
  for (int64_t i = 0; i < n; i++) {
    /* grains laid closer than they were taken pile up their mean */
    double drift = (1 - v->pole) * v->y[i] + v->drift;
    v->drift = v->pole * drift;
    y[i] = (float)(v->y[i] - rwc_glide_at(&v->shifted, i) * (fabs(drift) < INAUDIBLE ? 0 : drift));
  }
  if (fabs(v->drift) < FORGOTTEN) v->drift = 0;
  rwc_glide_advance(&v->shifted, n);
  *used = v->grains.used;
  return v->x.refused ? RWC_REFUSED : RWC_FINE;
}
