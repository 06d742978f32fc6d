/* What native.py fills in for steps.c. Signals are rows of float32. */

#include <stdint.h>

/* A linear layer. Its matrix lies in panels of 32 columns (the last may have 16), each [in][columns of the panel]: in
   the order in which it is read. */
typedef struct {
  const float *w, *bias;
  int32_t in, out;
} rwc_linear;

typedef struct {
  const float *scale, *shift;
} rwc_norm;

/* A block of the content encoder: content.py says what it does. */
typedef struct {
  rwc_linear up1, down1, qkv, join, gate, mix, up2, down2;
  rwc_norm norm1, norm_attend, norm_mix, norm2, norm;
  const float *near, *near_bias; /* [taps][width] */
  int32_t taps, look, taken;
} rwc_block;

typedef struct {
  float *keys, *values; /* [heads][reach][depth] */
  float *mixed;         /* [taps][width] */
  float *waiting;       /* [width] */
  int64_t frames, waits;
} rwc_block_memory;

/* The decoder as one speaker has it: decoder.py says what it does. */
typedef struct {
  rwc_linear pre, first, wide[6], onward[6], last;
  int32_t apart[6];
} rwc_decoder;

typedef struct {
  float *past[7]; /* of the first convolution and of each layer */
} rwc_decoder_memory;
