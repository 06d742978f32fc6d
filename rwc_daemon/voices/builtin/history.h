/* The latest stretch of a signal, read by absolute sample number.

   A ring written twice over, so that every stretch that is still held is one contiguous piece. Sample numbers count from the
   first sample ever written; before it lies silence. */
#ifndef RWC_HISTORY_H
#define RWC_HISTORY_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  int64_t size, end; /* end: the number of the next sample */
  double *ring;      /* twice the size */
  double *nothing;   /* as long: what is given in place of samples that are not held */
  int refused;       /* somebody asked for samples that are not held */
} rwc_history;

static int rwc_history_make(rwc_history *h, int64_t size) {
  h->size = size;
  h->ring = calloc(2 * (size_t)size, sizeof(double));
  h->nothing = calloc((size_t)size, sizeof(double));
  return h->ring && h->nothing;
}

static void rwc_history_free(rwc_history *h) {
  free(h->ring);
  free(h->nothing);
}

/* Appends at most `size` samples; what is no number counts as 0, since it would stay in the memory for ever. */
static void rwc_history_write(rwc_history *h, const float *x, int64_t n) {
  int64_t at = h->end % h->size;
  for (int64_t i = 0; i < n; i++) {
    h->ring[at] = h->ring[at + h->size] = isfinite(x[i]) ? x[i] : 0.0;
    if (++at == h->size) at = 0;
  }
  h->end += n;
}

/* Samples [begin, stop). */
static const double *rwc_history_view(rwc_history *h, int64_t begin, int64_t stop) {
  if (begin < h->end - h->size || stop > h->end || begin > stop) {
    h->refused = 1;
    return h->nothing;
  }
  int64_t at = begin % h->size;
  return h->ring + (at < 0 ? at + h->size : at);
}

#endif
