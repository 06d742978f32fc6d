/* One step of the content encoder and of the decoder, as content.py and decoder.py say it in NumPy.

   At one or two rows reading the weights is the work: 14 MB in 20 ms. The compiler makes vectors of the loops over
   columns; no sum is taken in another order for them, so only fused multiply-add tells machines apart. */

#include "steps.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 144, INNER = 576, HEADS = 4, DEPTH = 36, REACH = 64, MOST_TAPS = 17 };
enum { STEP = 2, CHANNELS = 224, REDUCED = 160, CONDITIONS = 3, FIRST_TAPS = 5, TAPS = 3, LAYERS = 6, PANEL = 32 };
enum { FIRST_IN = REDUCED + CONDITIONS, MOST_APART = 8 };

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define EACH_MACHINE __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define EACH_MACHINE
#endif
#define INLINE static inline __attribute__((always_inline))

INLINE void panel(const float *x, int in, int rows, const float *w, int columns, float sums[STEP][PANEL]) {
  for (int i = 0; i < in; i++, w += columns)
    for (int r = 0; r < rows; r++)
      for (int o = 0; o < columns; o++) sums[r][o] += x[r * in + i] * w[o];
}

/* y[r] = x[r] w + bias for one or two rows; `rows` and the panel's width are constants where this is inlined. */
INLINE void linear(const rwc_linear *l, const float *x, int rows, float *y) {
  const float *w = l->w;
  for (int begin = 0; begin < l->out; begin += PANEL) {
    float sums[STEP][PANEL] = {{0}};
    const int columns = l->out - begin <= 16 ? 16 : PANEL;
    if (columns == PANEL)
      panel(x, l->in, rows, w, PANEL, sums);
    else
      panel(x, l->in, rows, w, 16, sums);
    w += (int64_t)l->in * columns;
    for (int r = 0; r < rows; r++)
      for (int o = 0; o < columns && begin + o < l->out; o++) y[r * l->out + begin + o] = sums[r][o] + l->bias[begin + o];
  }
}

INLINE float sigmoid(float x) { return 1 / (1 + expf(-x)); }
INLINE float gelu(float x) { return x * (0.5f + 0.5f * erff(x * 0.70710678f)); }

INLINE void normed(const float *x, const rwc_norm *n, float *y) {
  float mean = 0, square = 0;
  for (int i = 0; i < WIDTH; i++) mean += x[i];
  mean /= WIDTH;
  for (int i = 0; i < WIDTH; i++) square += (x[i] - mean) * (x[i] - mean);
  const float factor = 1 / sqrtf(square / WIDTH + 1e-5f);
  for (int i = 0; i < WIDTH; i++) y[i] = (x[i] - mean) * factor * n->scale[i] + n->shift[i];
}

INLINE void fed_forward(float *x, const rwc_norm *n, const rwc_linear *up, const rwc_linear *down) {
  float y[WIDTH], inner[INNER];
  normed(x, n, y);
  linear(up, y, 1, inner);
  for (int i = 0; i < INNER; i++) inner[i] *= sigmoid(inner[i]);
  linear(down, inner, 1, y);
  for (int i = 0; i < WIDTH; i++) x[i] += 0.5f * y[i];
}

INLINE void attend(float *x, const rwc_block *b, rwc_block_memory *m) {
  float y[WIDTH], qkv[3 * WIDTH], scores[REACH];
  normed(x, &b->norm_attend, y);
  linear(&b->qkv, y, 1, qkv);
  const int at = m->frames % REACH;
  m->frames++;
  const int count = m->frames < REACH ? (int)m->frames : REACH;
  for (int h = 0; h < HEADS; h++) {
    const float *query = qkv + h * DEPTH;
    float *keys = m->keys + h * REACH * DEPTH, *values = m->values + h * REACH * DEPTH;
    memcpy(keys + at * DEPTH, query + WIDTH, DEPTH * sizeof(float));
    memcpy(values + at * DEPTH, query + 2 * WIDTH, DEPTH * sizeof(float));
    float most = -INFINITY, total = 0;
    for (int t = 0; t < count; t++) {
      float score = 0;
      for (int i = 0; i < DEPTH; i++) score += query[i] * keys[t * DEPTH + i];
      scores[t] = score * (1 / 6.0f);
      most = fmaxf(most, scores[t]);
    }
    for (int t = 0; t < count; t++) total += scores[t] = expf(scores[t] - most);
    float *joined = y + h * DEPTH;
    memset(joined, 0, DEPTH * sizeof(float));
    for (int t = 0; t < count; t++)
      for (int i = 0; i < DEPTH; i++) joined[i] += scores[t] / total * values[t * DEPTH + i];
  }
  float out[WIDTH];
  linear(&b->join, y, 1, out);
  for (int i = 0; i < WIDTH; i++) x[i] += out[i];
}

/* 0: this block waits for the next frame. */
INLINE int block_step(float *x, const rwc_block *b, rwc_block_memory *m) {
  float y[WIDTH], gate[2 * WIDTH];
  fed_forward(x, &b->norm1, &b->up1, &b->down1);
  attend(x, b, m);
  normed(x, &b->norm_mix, y);
  linear(&b->gate, y, 1, gate);
  memmove(m->mixed, m->mixed + WIDTH, (b->taps - 1) * WIDTH * sizeof(float));
  float *newest = m->mixed + (b->taps - 1) * WIDTH;
  for (int i = 0; i < WIDTH; i++) newest[i] = gate[i] * sigmoid(gate[WIDTH + i]);
  if (b->look) {
    const int64_t waited = m->waits;
    memcpy(y, m->waiting, sizeof y);
    memcpy(m->waiting, x, sizeof y);
    memcpy(x, y, sizeof y);
    m->waits = 1;
    if (!waited) return 0;
  }
  float sums[WIDTH];
  memcpy(sums, b->near_bias, sizeof sums);
  for (int t = 0; t < b->taps; t++)
    for (int i = 0; i < WIDTH; i++) sums[i] += m->mixed[t * WIDTH + i] * b->near[t * WIDTH + i];
  for (int i = 0; i < WIDTH; i++) sums[i] *= sigmoid(sums[i]);
  linear(&b->mix, sums, 1, y);
  for (int i = 0; i < WIDTH; i++) x[i] += y[i];
  fed_forward(x, &b->norm2, &b->up2, &b->down2);
  normed(x, &b->norm, y);
  memcpy(x, y, sizeof y);
  return 1;
}

/* mel: three spectra, one after the other; answers 0 where there is no content yet. */
EACH_MACHINE int rwc_listen(const rwc_linear *first, const rwc_block *blocks, int count, rwc_block_memory *memory,
                            const float *mel, float *content) {
  float x[WIDTH];
  linear(first, mel, 1, x);
  for (int i = 0; i < WIDTH; i++) x[i] = gelu(x[i]);
  for (int n = 0; n < count; n++) {
    if (!block_step(x, blocks + n, memory + n)) return 0;
    if (blocks[n].taken) {
      memcpy(content, x, sizeof x);
      content += WIDTH;
    }
  }
  return 1;
}

/* The inputs of a convolution for two hops side by side: from its past and its newest; the past moves on. */
INLINE void gathered(float *past, const float *x, int width, int taps, int apart, float *rows) {
  const int held = (taps - 1) * apart;
  float whole[(STEP + 2 * MOST_APART) * CHANNELS];
  memcpy(whole, past, held * width * sizeof(float));
  memcpy(whole + held * width, x, STEP * width * sizeof(float));
  for (int r = 0; r < STEP; r++)
    for (int t = 0; t < taps; t++)
      memcpy(rows + (r * taps + t) * width, whole + (r + t * apart) * width, width * sizeof(float));
  memcpy(past, whole + STEP * width, held * width * sizeof(float));
}

/* content [288], conditions [2][3] as the first convolution wants them → y [2][250]. */
EACH_MACHINE void rwc_speak(const rwc_decoder *d, rwc_decoder_memory *memory, const float *content,
                            const float *conditions, float *y) {
  float in[STEP * FIRST_IN], rows[STEP * FIRST_TAPS * CHANNELS], x[STEP * CHANNELS], z[STEP * CHANNELS];
  linear(&d->pre, content, 1, in);
  memcpy(in + FIRST_IN, in, REDUCED * sizeof(float));
  for (int r = 0; r < STEP; r++)
    memcpy(in + r * FIRST_IN + REDUCED, conditions + r * CONDITIONS, CONDITIONS * sizeof(float));
  gathered(memory->past[0], in, FIRST_IN, FIRST_TAPS, 1, rows);
  linear(&d->first, rows, STEP, x);
  for (int i = 0; i < STEP * CHANNELS; i++) x[i] = gelu(x[i]);
  for (int n = 0; n < LAYERS; n++) {
    gathered(memory->past[n + 1], x, CHANNELS, TAPS, d->apart[n], rows);
    linear(&d->wide[n], rows, STEP, z);
    for (int i = 0; i < STEP * CHANNELS; i++) z[i] = gelu(z[i]);
    float moved[STEP * CHANNELS];
    linear(&d->onward[n], z, STEP, moved);
    for (int i = 0; i < STEP * CHANNELS; i++) x[i] += moved[i];
  }
  linear(&d->last, x, STEP, y);
}
