/* A number that moves to its target in a straight line; the same sums as dsp/glide.py, so the same bits. */
#ifndef RWC_GLIDE_H
#define RWC_GLIDE_H

#include <stdint.h>

typedef struct {
  int64_t length, done;
  double from, to;
  int aimed;
} rwc_glide;

static double rwc_glide_at(const rwc_glide *g, int64_t ahead) {
  int64_t done = g->done + ahead;
  return done >= g->length ? g->to : g->from + (g->to - g->from) * ((double)done / (double)g->length);
}

/* A new target is reached `length` samples later, the first one at once. */
static void rwc_glide_aim(rwc_glide *g, double target) {
  if (!g->aimed) {
    *g = (rwc_glide){g->length, g->length, target, target, 1};
  } else if (target != g->to) {
    g->from = rwc_glide_at(g, 0);
    g->to = target;
    g->done = 0;
  }
}

static void rwc_glide_advance(rwc_glide *g, int64_t n) {
  g->done = g->done + n < g->length ? g->done + n : g->length;
}

#endif
