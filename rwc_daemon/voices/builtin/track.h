/* The pitch of a voice while it speaks: one decision every 2.5 ms.

   The sound is brought down to about 12 kHz and its last 16 ms are compared with what stood one lag earlier: the normalised
   cross-correlation. A candidate is a local maximum. Each octave of lag costs a little, because a periodic sound repeats at
   twice its period as well; being near the last period earns more than that, because voices do not jump by octaves from one
   2.5 ms to the next. That credit melts while another period goes on being the better one: a word that begins on a strong
   formant is first taken for its tone. */
#ifndef RWC_TRACK_H
#define RWC_TRACK_H

#include "correlate.h"
#include "history.h"

#define LOWEST_HZ 62.0
#define HIGHEST_HZ 900.0
#define COARSE_RATE 12000.0 /* about: the host's rate is divided by a whole number */
#define HOP_MS 2.5
#define WINDOW_MS 16.0
#define LOW_PASS_HZ 1800.0
#define LOW_PASS_MS 1.5
#define OCTAVE_COST 0.06
#define NEAR_GAIN 0.12
#define NEAR 0.15       /* relative distance that still is the same pitch */
#define PATIENCE 6      /* hops in a row of a better rival, after which being near earns nothing */
#define BEGIN_AT 0.70   /* correlation */
#define BEGIN_SURELY_AT 0.85
#define END_AT 0.5
#define QUIET_POWER 3e-8 /* -75 dB: nothing to follow */
#define LOW_SHARE 0.08   /* share of the power in the low band, below which the sound is a hiss */

typedef struct {
  int64_t factor, hop, shortest, longest, window, taps_count;
  double *memory; /* holds all that follows */
  double *taps, *z, *centred, *cost, *products, *energies;
  double period; /* coarse samples; 0: unvoiced */
  double hint;   /* what the last hop would have liked to begin with */
  double rival;  /* the best period of the last hop, wherever it was */
  int doubts;    /* hops in a row in which the same rival was better */
} rwc_track;

static double rwc_sinc(double t) { return t == 0 ? 1 : sin(M_PI * t) / (M_PI * t); }

/* A Hann window without its zeros, as long as `n`. */
static double rwc_hann(int64_t i, int64_t n) { return 0.5 - 0.5 * cos(2 * M_PI * (double)(i + 1) / (double)(n + 1)); }

static int rwc_track_make(rwc_track *t, double rate) {
  t->factor = rate / COARSE_RATE < 1 ? 1 : llrint(rate / COARSE_RATE);
  t->hop = t->factor * llrint(HOP_MS * rate / 1000 / (double)t->factor);
  double coarse = rate / (double)t->factor;
  t->shortest = (int64_t)floor(coarse / HIGHEST_HZ);
  t->longest = (int64_t)ceil(coarse / LOWEST_HZ);
  t->window = llrint(WINDOW_MS * coarse / 1000);
  t->taps_count = llrint(LOW_PASS_MS * rate / 1000) | 1;
  int64_t length = t->window + t->longest, lags = t->longest + 1;
  t->memory = calloc((size_t)(t->taps_count + 2 * length + 3 * lags), sizeof(double));
  if (!t->memory) return 0;
  t->taps = t->memory;
  t->z = t->taps + t->taps_count;
  t->centred = t->z + length;
  t->cost = t->centred + length;
  t->products = t->cost + lags;
  t->energies = t->products + lags;
  double sum = 0;
  for (int64_t i = 0; i < t->taps_count; i++) {
    t->taps[i] = rwc_sinc(2 * LOW_PASS_HZ / rate * (double)(i - t->taps_count / 2)) * rwc_hann(i, t->taps_count);
    sum += t->taps[i];
  }
  for (int64_t i = 0; i < t->taps_count; i++) t->taps[i] /= sum;
  for (int64_t lag = 1; lag < lags; lag++) t->cost[lag] = OCTAVE_COST * log2((double)lag / (double)t->shortest);
  return 1;
}

static int rwc_near(double a, double b) { return fabs(a - b) < NEAR * b; }

static void rwc_track_take_in(rwc_track *t, rwc_history *x, int64_t now) {
  int64_t fresh = t->hop / t->factor, kept = t->window + t->longest - fresh;
  memmove(t->z, t->z + fresh, (size_t)kept * sizeof(double));
  const double *sound = rwc_history_view(x, now - t->hop - t->taps_count + t->factor, now);
  for (int64_t i = 0; i < fresh; i++) rwc_correlate(sound + i * t->factor, t->taps, t->taps_count, 1, t->z + kept + i);
}

/* Whether the newest window of the low band is worth a look: neither quiet nor a hiss. */
static int rwc_track_hears(const rwc_track *t, rwc_history *x, int64_t now) {
  const double *recent = t->centred + t->longest;
  double low = 0, sum = 0, squares = 0;
  for (int64_t i = 0; i < t->window; i++) low += recent[i] * recent[i];
  low /= (double)t->window;
  if (low < QUIET_POWER) return 0;
  int64_t n = t->window * t->factor;
  const double *whole = rwc_history_view(x, now - n, now);
  for (int64_t i = 0; i < n; i++) {
    sum += whole[i];
    squares += whole[i] * whole[i];
  }
  double mean = sum / (double)n;
  return low >= LOW_SHARE * (squares / (double)n - mean * mean);
}

/* The candidate of most merit, 0 where there is none; one near the last period earns `credit`. */
static int64_t rwc_track_choose(const rwc_track *t, const double *n, double credit) {
  int64_t best = 0;
  double most = -INFINITY;
  for (int64_t lag = t->shortest > 1 ? t->shortest : 1; lag < t->longest; lag++) {
    if (!(n[lag] > n[lag - 1] && n[lag] >= n[lag + 1])) continue;
    double merit = n[lag] - t->cost[lag] + (rwc_near((double)lag, t->period) ? credit : 0);
    if (merit > most) {
      most = merit;
      best = lag;
    }
  }
  return best;
}

/* The period in coarse samples and the correlation there; 0 and 0 where there is nothing to follow. */
static double rwc_track_best(rwc_track *t, rwc_history *x, int64_t now, double *clarity) {
  int64_t length = t->window + t->longest, lags = t->longest + 1;
  double mean = 0;
  *clarity = 0;
  for (int64_t i = 0; i < length; i++) mean += t->z[i];
  mean /= (double)length;
  for (int64_t i = 0; i < length; i++) t->centred[i] = t->z[i] - mean;
  if (!rwc_track_hears(t, x, now)) return 0;
  rwc_correlate(t->centred, t->centred + t->longest, t->window, lags, t->products);
  rwc_energies(t->centred, t->window, lags, t->energies);
  double own = t->energies[t->longest], *n = t->energies; /* by lag, from here on */
  for (int64_t k = 0; k < lags; k++) t->products[k] /= sqrt(own * fmax(t->energies[k], 1e-3 * own));
  for (int64_t lag = 0; lag < lags; lag++) n[lag] = t->products[t->longest - lag];
  int64_t rival = rwc_track_choose(t, n, 0);
  if (!rival) return 0;
  /* how long one other period has been the better one */
  int lasting = rwc_near((double)rival, t->rival) && !rwc_near((double)rival, t->period);
  t->doubts = lasting ? t->doubts + 1 : 0;
  t->rival = (double)rival;
  int64_t best = rwc_track_choose(t, n, NEAR_GAIN * fmax(0, 1 - (double)t->doubts / PATIENCE));
  double left = n[best - 1], top = n[best], right = n[best + 1];
  *clarity = top;
  return (double)best + 0.5 * (left - right) / (left - 2 * top + right - 1e-12);
}

/* Call it at every multiple of `hop` samples. The period in samples at the host's rate of the sound up to sample `now`, 0
   where there is none. */
static double rwc_track_step(rwc_track *t, rwc_history *x, int64_t now) {
  rwc_track_take_in(t, x, now);
  double clarity, period = rwc_track_best(t, x, now, &clarity);
  int said_twice = rwc_near(period, t->hint);
  t->hint = period;
  if (t->period && clarity > END_AT) {
    /* a jump is believed when it is seen again */
    if (said_twice || rwc_near(period, t->period)) t->period = period;
  } else {
    t->period = clarity > BEGIN_SURELY_AT || (clarity > BEGIN_AT && said_twice) ? period : 0;
  }
  return t->period * (double)t->factor;
}

#endif
