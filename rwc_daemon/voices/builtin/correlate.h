/* Sums of products of two sounds at many lags: where the built-in voices' time would go. */
#ifndef RWC_CORRELATE_H
#define RWC_CORRELATE_H

#include <stdint.h>

/* compiled for wider vectors as well where the loader can choose at run time; the order of each sum, and so its bits, is
   the same in all of them */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__has_attribute)
#if __has_attribute(target_clones)
#define RWC_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#endif
#ifndef RWC_WIDE
#define RWC_WIDE
#endif

enum { RWC_LANES = 16 };

/* out[k] = sum of x[k + i] * y[i] over i < n, for k < lags; x has n + lags - 1 samples. */
RWC_WIDE static void rwc_correlate(const double *restrict x, const double *restrict y, int64_t n, int64_t lags,
                                   double *restrict out) {
  int64_t k = 0;
  for (; k + RWC_LANES <= lags; k += RWC_LANES) {
    double sum[RWC_LANES] = {0};
    for (int64_t i = 0; i < n; i++)
      for (int j = 0; j < RWC_LANES; j++) sum[j] += x[k + i + j] * y[i];
    for (int j = 0; j < RWC_LANES; j++) out[k + j] = sum[j];
  }
  for (; k < lags; k++) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[k + i] * y[i];
    out[k] = sum;
  }
}

/* energies[k] = sum of x[k + i]^2 over i < n, for k < lags, by differences of one running sum. */
static void rwc_energies(const double *x, int64_t n, int64_t lags, double *energies) {
  double late = 0, early = 0;
  for (int64_t i = 0; i < n - 1; i++) late += x[i] * x[i];
  for (int64_t k = 0; k < lags; k++) {
    late += x[k + n - 1] * x[k + n - 1];
    energies[k] = late - early;
    early += x[k] * x[k];
  }
}

static int64_t rwc_largest(const double *x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  return best;
}

#endif
