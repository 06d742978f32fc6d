/* What Python calls of the pitch voices. */
#ifndef RWC_PITCH_H
#define RWC_PITCH_H

#include <stdint.h>

enum { RWC_MOST_PIECE = 1024 }; /* samples converted by one call */
enum { RWC_FINE = 0, RWC_NO_MEMORY = -1, RWC_REFUSED = -2 };
/* RWC_REFUSED: samples were read that are not held, which would be a mistake in the code */

typedef struct rwc_pitch rwc_pitch;

/* `low`, `high`: semitones of formant of the preset. NULL: no memory. */
rwc_pitch *rwc_pitch_make(double rate, int64_t delay, const double *kernels, const double *speeds, int64_t speed_count,
                          int64_t phases, int64_t taps, double low, double high);
void rwc_pitch_free(rwc_pitch *v);

/* n samples in, as many out, of the sound `delay` before. `pitch` and `formant`: semitones asked, `shifted`: 1 where they
   move the sound. `luck`: numbers in [0, 1), n + 1 of them at least; how many were used comes back. */
int rwc_pitch_convert(rwc_pitch *v, const float *x, int64_t n, double pitch, double formant, double shifted,
                      const double *luck, int64_t *used, float *y);

#endif
