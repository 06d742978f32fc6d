/* Pitch-synchronous overlap-add, one grain at a time.

   A grain is the sound around one place `at` of the input, read at speed `speed` (which moves the formants) and laid around
   one place `out` of the output; the distance between the `out`s is the new pitch period. Between two grains lies a cell,
   where the first fades out and the second fades in, so any output sample is the sum of two readings. Related grains fade
   with the square of a cosine, so that a sum of equals is the same again; unrelated ones with the cosine itself, which keeps
   the power of their sum.

   A grain reaches no further than one period of the voice to either side, or it would bring its neighbours' pulses along,
   and no further than the next grain. It is chosen as late as possible, when its own fade-in begins: output `u` is made
   `delay` samples after input `u` arrived, so what a grain reads need not be there yet when the grain is chosen, only in time
   for each sample of it.

   Where there is no pitch, or nothing to change, a grain is put where it is taken from. Neighbours then agree and the input
   comes out to the bit; unless the formants move, where cells of uneven length keep the grains from buzzing and the fades
   keep the power of sounds that do not agree. */
#ifndef RWC_GRAINS_H
#define RWC_GRAINS_H

#include "history.h"
#include "marks.h"

#define CELL_MS 2.5 /* distance of grains where there is no pitch */
#define SHORTEST_NOISE_CELL_MS 2.5 /* the same where formants move: between these */
#define LONGEST_NOISE_CELL_MS 4.0
#define FIRST_CELL_MS 1.0       /* from the last grain without pitch to the first mark, at least */
#define MOST_GRAINS_HZ 5000.0   /* no grains more often than this, whatever is asked */
#define STALE_MS 40.0           /* a mark this far from the place it is wanted for is no use */
#define INTERPOLATOR_REACH 9    /* samples around a position that a reading needs */

/* What is wanted of the sound now: ratios of the pitch and of the spectral envelope. */
typedef struct {
  double pitch, formant;
} rwc_shift;

typedef struct {
  double out;    /* sample number of its middle in the output */
  double at;     /* sample number of its middle in the input */
  double speed;  /* input samples per output sample */
  double reach;  /* output samples to either side, at most; the neighbours may leave less room */
  double gain;
  double period; /* of the voice there, input samples; 0: no pitch */
  int64_t kernel;
} rwc_grain;

/* Output from one grain to the next. */
typedef struct {
  rwc_grain left, right;
  double end;   /* output sample number of the next grain */
  double begin; /* where in the output that grain begins to be heard, and is chosen */
  int chosen;   /* `right` is known */
} rwc_cell;

/* Kernels for reading between samples, made by interpolate.py. */
typedef struct {
  const double *kernels; /* [speeds * (phases + 1), taps] */
  const double *speeds;
  int64_t speed_count, phases, taps;
} rwc_interpolator;

typedef struct {
  rwc_interpolator read;
  int64_t delay, count, room;
  double cell, noise_cell[2], shortest, first_cell, stale;
  rwc_cell *cells;
  const double *luck; /* of the caller: numbers in [0, 1) */
  int64_t used;       /* of them */
} rwc_grains;

static double rwc_clip(double x, double low, double high) { return fmin(fmax(x, low), high); }

static int rwc_grains_make(rwc_grains *g, double rate, int64_t delay) {
  g->delay = delay;
  g->cell = CELL_MS * rate / 1000;
  g->noise_cell[0] = SHORTEST_NOISE_CELL_MS * rate / 1000;
  g->noise_cell[1] = LONGEST_NOISE_CELL_MS * rate / 1000;
  g->shortest = rate / MOST_GRAINS_HZ;
  g->first_cell = FIRST_CELL_MS * rate / 1000;
  g->stale = STALE_MS * rate / 1000;
  g->room = 64;
  g->cells = calloc((size_t)g->room, sizeof(rwc_cell));
  if (!g->cells) return 0;
  rwc_grain start = {-(double)delay, -(double)delay, 1, INFINITY, 1, 0, 0};
  g->cells[0] = (rwc_cell){.left = start, .end = start.out + g->cell, .begin = start.out};
  g->count = 1;
  return 1;
}

/* The input sample number at which the next grain must be chosen. */
static int64_t rwc_grains_due(const rwc_grains *g) { return (int64_t)ceil(g->cells[g->count - 1].begin) + g->delay; }

static int64_t rwc_kernel(const rwc_interpolator *read, double speed) {
  int64_t k = 0;
  while (k < read->speed_count - 1 && read->speeds[k] < speed * 0.98) k++;
  return k;
}

/* The mark to be heard at `out`; NULL where the input has no pitch there. */
static const rwc_mark *rwc_grains_mark(const rwc_grains *g, double out, const rwc_marks *marks, rwc_shift shift) {
  double newest = out + (double)g->delay - INTERPOLATOR_REACH;
  const rwc_mark *mark = rwc_marks_nearest(marks, out, newest);
  if (!mark) return NULL;
  /* with moved formants an older one, that a whole grain around it may be read in time */
  double reach = fmin(mark->period / shift.formant, mark->period / shift.pitch);
  mark = rwc_marks_nearest(marks, out, newest - reach * fabs(shift.formant - 1));
  if (!mark || fabs(mark->at - out) > g->stale) return NULL;
  return marks->alive || mark->at > out - 0.75 * mark->period ? mark : NULL;
}

/* `reach`, or less: read slower or faster, either end of the grain must have arrived when it is heard. */
static double rwc_grains_in_time(const rwc_grains *g, double reach, double out, double at, rwc_shift shift) {
  if (shift.formant == 1) return reach;
  return fmin(reach, (out + (double)g->delay - INTERPOLATOR_REACH - at) / fabs(shift.formant - 1));
}

static rwc_grain rwc_grains_grain(const rwc_grains *g, double out, const rwc_mark *mark, rwc_shift shift) {
  int64_t kernel = rwc_kernel(&g->read, shift.formant);
  if (!mark)
    return (rwc_grain){out, out, shift.formant, rwc_grains_in_time(g, INFINITY, out, out, shift), 1, 0, kernel};
  double period = mark->period / shift.pitch;
  /* pulses more often, or each of them shorter: the loudness stays */
  double gain = rwc_clip(sqrt(shift.formant * period / mark->period), 0.5, 1.6);
  double reach = rwc_grains_in_time(g, fmin(mark->period / shift.formant, period), out, mark->at, shift);
  return (rwc_grain){out, mark->at, shift.formant, reach, gain, mark->period, kernel};
}

/* Where the next grain will stand, and when it is chosen. */
static rwc_cell rwc_grains_next(rwc_grains *g, rwc_grain left, const rwc_marks *marks, rwc_shift shift) {
  double step, reach;
  if (left.period) {
    step = left.period / shift.pitch;
    step = fmax(rwc_marks_period_at(marks, left.out + 0.5 * step, left.period) / shift.pitch, g->shortest);
    reach = fmin(left.period / shift.formant, step);
  } else {
    step = g->cell;
    if (shift.formant != 1) step = g->noise_cell[0] + (g->noise_cell[1] - g->noise_cell[0]) * g->luck[g->used++];
    step = rint(left.out + step) - left.out; /* whole samples: the grid of the input */
    reach = step;
  }
  return (rwc_cell){.left = left, .end = left.out + step, .begin = left.out + step - reach};
}

/* Settles the grain that is due, and plans when the next one is. 0: no memory. */
static int rwc_grains_choose(rwc_grains *g, const rwc_marks *marks, rwc_shift shift) {
  rwc_cell *cell = &g->cells[g->count - 1];
  int nothing = shift.pitch == 1 && shift.formant == 1;
  if (!cell->left.period && !nothing) {
    /* the mark on which a voiced stretch is entered: there, output and input are the same place */
    double begin = cell->left.out + g->first_cell;
    const rwc_mark *onset = rwc_marks_between(marks, begin, begin + g->stale);
    if (onset && onset->at < begin + 2 * onset->period) cell->end = onset->at;
  }
  const rwc_mark *mark = nothing ? NULL : rwc_grains_mark(g, cell->end, marks, shift);
  cell->right = rwc_grains_grain(g, cell->end, mark, shift);
  cell->chosen = 1;
  rwc_cell next = rwc_grains_next(g, cell->right, marks, shift);
  if (g->count == g->room) {
    rwc_cell *more = realloc(g->cells, 2 * (size_t)g->room * sizeof(rwc_cell));
    if (!more) return 0;
    g->cells = more;
    g->room *= 2;
  }
  g->cells[g->count++] = next;
  return 1;
}

static int rwc_grain_plain(const rwc_grain *a) {
  return !a->period && a->speed == 1 && a->at == a->out && a->reach == INFINITY;
}

static int rwc_cell_plain(const rwc_cell *c) {
  return rwc_grain_plain(&c->left) && c->chosen && rwc_grain_plain(&c->right);
}

/* Adds output samples [first, last) of a grain to y[0 …), with `room` on that side and fading by `power`. */
static void rwc_grain_add(const rwc_grain *a, double room, int power, const rwc_interpolator *read, rwc_history *x,
                          int64_t first, int64_t last, double *y) {
  double reach = fmax(fmin(a->reach, room), 1e-9);
  int64_t from = (int64_t)ceil(a->out - reach), to = (int64_t)floor(a->out + reach) + 1;
  /* beyond its reach a grain is silent, and what it would read there may not have arrived */
  if (from < first) from = first;
  if (to > last) to = last;
  if (from >= to) return;
  const double *kernels = read->kernels + a->kernel * (read->phases + 1) * read->taps;
  int64_t before = read->taps / 2 - 1;
  int64_t begin = (int64_t)floor(a->at + ((double)from - a->out) * a->speed) - before;
  int64_t stop = (int64_t)floor(a->at + ((double)(to - 1) - a->out) * a->speed) - before + read->taps;
  const double *sound = rwc_history_view(x, begin, stop);
  if (sound == x->nothing) return;
  for (int64_t u = from; u < to; u++) {
    double away = (double)u - a->out, position = a->at + away * a->speed, whole = floor(position);
    const double *taps = kernels + llrint((position - whole) * (double)read->phases) * read->taps;
    const double *here = sound + ((int64_t)whole - before - begin);
    double sum[4] = {0};
    for (int64_t i = 0; i < read->taps; i += 4)
      for (int j = 0; j < 4; j++) sum[j] += here[i + j] * taps[i + j];
    double fade = power ? cos(M_PI_2 * fmin(fabs(away) / reach, 1)) : 1;
    if (power == 2) fade *= fade;
    y[u - first] += a->gain * fade * (sum[0] + sum[1] + (sum[2] + sum[3]));
  }
}

/* Output samples [begin, stop) into y; everything due by then must have been chosen. */
static void rwc_grains_render(rwc_grains *g, rwc_history *x, int64_t begin, int64_t stop, double *y) {
  int64_t past = 0;
  while (past < g->count - 1 && g->cells[past].end <= (double)begin) past++;
  g->count -= past;
  memmove(g->cells, g->cells + past, (size_t)g->count * sizeof(rwc_cell));
  int64_t first = begin;
  memset(y, 0, (size_t)(stop - begin) * sizeof(double));
  for (int64_t i = 0; i < g->count && first < stop; i++) {
    const rwc_cell *c = &g->cells[i];
    int64_t last = (int64_t)fmin(fmax(ceil(c->end), (double)first), (double)stop);
    if (rwc_cell_plain(c)) { /* both grains are the input as it is, and so is their sum */
      memcpy(y + (first - begin), rwc_history_view(x, first, last), (size_t)(last - first) * sizeof(double));
    } else {
      int power = c->left.period || c->left.speed == 1 ? 2 : 1; /* known before the right grain is */
      rwc_grain_add(&c->left, c->end - c->left.out, power, &g->read, x, first, last, y + (first - begin));
      if (c->chosen)
        rwc_grain_add(&c->right, c->end - c->begin, power, &g->read, x, first, last, y + (first - begin));
    }
    first = last;
  }
}

#endif
