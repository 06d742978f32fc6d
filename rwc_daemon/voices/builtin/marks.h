/* Pitch marks: one place in every period of a voiced sound, always the same place.

   The first mark of a voiced stretch is put where the period is loudest, which is where the glottis closes. Each next one
   stands where the sound around it looks most like the sound around the last: the normalised cross-correlation over one
   period, refined between samples by a parabola. A slight liking for loud places draws the marks back to the closure. */
#ifndef RWC_MARKS_H
#define RWC_MARKS_H

#include "correlate.h"
#include "history.h"
#include "track.h"

#define AHEAD_MS 1.0         /* sound needed after a mark */
#define SHORTEST_LOOK_MS 2.5 /* sound compared before a mark: one period, at least this */
#define LOUD_MS 1.2          /* width of the window that measures loudness */
#define SEARCH 0.08          /* a period differs from the one before by no more than this share */
#define SAME 0.12            /* a tracker's period this near to the last mark's is only staler */
#define LOUD_LIKING 0.04
#define LOST_AT 0.45 /* correlation */
#define KEEP_MS 150
#define DRIFT_OVER_MS 35.0
#define DRIFT_TRUST 0.8 /* jitter looks like drift: follow a part of it */
#define MOST_DRIFT 0.06 /* of a period, in all */

/* A place in the input; fractions count. */
typedef struct {
  double at;     /* sample number */
  double period; /* samples since the mark before */
  double drift;  /* change of the period per sample */
} rwc_mark;

enum { RWC_MOST_MARKS = 1024 }; /* 150 ms hold 135 of them; room to put some before others */

typedef struct {
  int64_t ahead, look, keep, drift_over, cover, loud_count, room;
  double *memory, *loud, *squares, *likeness, *loudness, *energies;
  int64_t count;
  int alive;
  rwc_mark known[RWC_MOST_MARKS];
} rwc_marks;

/* `cover`: how many samples back from now the first mark of a stretch must be known. */
static int rwc_marks_make(rwc_marks *m, double rate, int64_t cover) {
  m->ahead = llrint(AHEAD_MS * rate / 1000);
  m->look = llrint(SHORTEST_LOOK_MS * rate / 1000);
  m->keep = llrint(KEEP_MS * rate / 1000);
  m->drift_over = llrint(DRIFT_OVER_MS * rate / 1000);
  m->cover = cover;
  m->loud_count = llrint(LOUD_MS * rate / 1000) | 1;
  m->room = 2 * (int64_t)(rate / LOWEST_HZ) + m->loud_count + 64; /* two of the longest periods */
  m->memory = calloc((size_t)(m->loud_count + 4 * m->room), sizeof(double));
  if (!m->memory) return 0;
  m->loud = m->memory;
  m->squares = m->loud + m->loud_count;
  m->likeness = m->squares + m->room;
  m->loudness = m->likeness + m->room;
  m->energies = m->loudness + m->room;
  for (int64_t i = 0; i < m->loud_count; i++) m->loud[i] = rwc_hann(i, m->loud_count);
  return 1;
}

/* The mark nearest to sample number `to`, none after `limit`; NULL where there is none. */
static const rwc_mark *rwc_marks_nearest(const rwc_marks *m, double to, double limit) {
  const rwc_mark *best = NULL;
  for (int64_t i = 0; i < m->count; i++)
    if (m->known[i].at <= limit && (!best || fabs(m->known[i].at - to) < fabs(best->at - to))) best = &m->known[i];
  return best;
}

/* The first mark in [begin, stop]; NULL where there is none. */
static const rwc_mark *rwc_marks_between(const rwc_marks *m, double begin, double stop) {
  for (int64_t i = 0; i < m->count; i++)
    if (m->known[i].at >= begin && m->known[i].at <= stop) return &m->known[i];
  return NULL;
}

/* The period around sample number `place`, also shortly after the last mark; `otherwise` where there are no marks. */
static double rwc_marks_period_at(const rwc_marks *m, double place, double otherwise) {
  const rwc_mark *best = NULL;
  double nearest = INFINITY;
  for (int64_t i = 0; i < m->count; i++) {
    double away = fabs(m->known[i].at - 0.5 * m->known[i].period - place);
    if (away < nearest) {
      nearest = away;
      best = &m->known[i];
    }
  }
  if (!best) return otherwise;
  double change = best->drift * (place + 0.5 * best->period - best->at);
  return best->period + fmin(fmax(change, -MOST_DRIFT * best->period), MOST_DRIFT * best->period);
}

/* Power around each of the samples [begin, stop), into `loudness`. */
static void rwc_marks_measure(rwc_marks *m, rwc_history *x, int64_t begin, int64_t stop) {
  int64_t half = m->loud_count / 2, n = stop - begin + 2 * half;
  const double *sound = rwc_history_view(x, begin - half, stop + half);
  for (int64_t i = 0; i < n; i++) m->squares[i] = sound[i] * sound[i];
  rwc_correlate(m->squares, m->loud, m->loud_count, stop - begin, m->loudness);
}

/* How far beside sample `best` the peak of the parabola through it and its neighbours lies. */
static double rwc_between(const double *values, int64_t best, int64_t n) {
  if (best <= 0 || best >= n - 1) return 0;
  double left = values[best - 1], top = values[best], right = values[best + 1], bend = left - 2 * top + right;
  return bend < 0 ? 0.5 * (left - right) / bend : 0;
}

/* Where one period on (`direction` 1) or back (-1) looks most like `mark`; the correlation there into `likeness`. */
static double rwc_marks_match(rwc_marks *m, rwc_history *x, const rwc_mark *mark, double period, int direction,
                              double *likeness) {
  int64_t centre = llrint(mark->at), whole = llrint(period), before = m->look > whole ? m->look : whole;
  int64_t spread = llrint(SEARCH * period), most = (int64_t)(period / 4);
  if (spread < 3) spread = 3;
  if (spread > most) spread = most;
  int64_t first = centre + direction * whole - spread, lags = 2 * spread + 1, n = before + m->ahead;
  const double *pattern = rwc_history_view(x, centre - before, centre + m->ahead);
  const double *sound = rwc_history_view(x, first - before, first + 2 * spread + m->ahead);
  double own = 0, loudest = 1e-30, *score = m->loudness;
  for (int64_t i = 0; i < n; i++) own += pattern[i] * pattern[i];
  rwc_correlate(sound, pattern, n, lags, m->likeness);
  rwc_energies(sound, n, lags, m->energies);
  rwc_marks_measure(m, x, first, first + lags);
  for (int64_t k = 0; k < lags; k++) loudest = fmax(loudest, m->loudness[k]);
  for (int64_t k = 0; k < lags; k++) {
    m->likeness[k] /= sqrt(fmax(m->energies[k] * own, 1e-30));
    score[k] = m->likeness[k] + LOUD_LIKING * m->loudness[k] / loudest;
  }
  int64_t best = rwc_largest(score, lags);
  *likeness = m->likeness[best];
  return (double)(first + best) + rwc_between(score, best, lags) + mark->at - (double)centre;
}

/* How the period changes towards a new mark, seen over the last 35 ms. */
static double rwc_marks_drift(const rwc_marks *m, double at, double period) {
  const rwc_mark *base = NULL;
  for (int64_t i = 0; i < m->count && !base; i++)
    if (at - m->known[i].at < (double)m->drift_over) base = &m->known[i];
  if (!base || fabs(period - base->period) > MOST_DRIFT * period) return 0;
  return DRIFT_TRUST * (period - base->period) / (at - base->at);
}

static void rwc_marks_forget(rwc_marks *m, int64_t count) {
  m->count -= count;
  memmove(m->known, m->known + count, (size_t)m->count * sizeof(rwc_mark));
}

static void rwc_marks_add(rwc_marks *m, rwc_mark mark) {
  if (m->count == RWC_MOST_MARKS) rwc_marks_forget(m, 1);
  m->known[m->count++] = mark;
}

static void rwc_marks_begin(rwc_marks *m, rwc_history *x, int64_t now, double period) {
  int64_t stop = now - m->ahead, whole = llrint(period), older = 0;
  rwc_mark found[RWC_MOST_MARKS / 4]; /* the anchor, then those before it, backwards */
  rwc_marks_measure(m, x, stop - whole, stop);
  found[0] = (rwc_mark){(double)(stop - whole + rwc_largest(m->loudness, whole)), period, 0};
  while (found[older].at > (double)(now - m->cover) && older + 1 < RWC_MOST_MARKS / 4) {
    double likeness, at = rwc_marks_match(m, x, &found[older], period, -1, &likeness);
    if (likeness < LOST_AT) break;
    found[older + 1] = (rwc_mark){at, found[older].at - at, 0};
    older++;
  }
  double after = m->count ? m->known[m->count - 1].at + 0.5 * period : -INFINITY;
  for (; older >= 0; older--)
    if (found[older].at > after) rwc_marks_add(m, found[older]);
  m->alive = m->count > 0;
}

/* Puts the next mark, if its sound is already there. */
static int rwc_marks_advance(rwc_marks *m, rwc_history *x, int64_t now, double period) {
  rwc_mark last = m->known[m->count - 1];
  double expected = fabs(last.period - period) < SAME * period ? last.period : period;
  if (last.at + expected * (1 + SEARCH) + (double)m->ahead + 2 > (double)now) return 0;
  double likeness, at = rwc_marks_match(m, x, &last, expected, 1, &likeness);
  if (likeness < LOST_AT) {
    m->alive = 0;
    return 0;
  }
  rwc_marks_add(m, (rwc_mark){at, at - last.at, rwc_marks_drift(m, at, at - last.at)});
  return 1;
}

/* Call it after each step of the tracker. `period`: the tracker's, samples at sample `now`; 0 ends the stretch. */
static void rwc_marks_step(rwc_marks *m, rwc_history *x, int64_t now, double period) {
  int64_t old = 0;
  while (old < m->count && m->known[old].at < (double)(now - m->keep)) old++;
  if (old) rwc_marks_forget(m, old);
  if (!period) {
    m->alive = 0;
    return;
  }
  if (!m->alive) rwc_marks_begin(m, x, now, period);
  while (m->alive && m->count && rwc_marks_advance(m, x, now, period)) {
  }
}

#endif
