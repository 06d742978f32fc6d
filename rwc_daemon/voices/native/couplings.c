/* The flow as one call: couplings, each behind a flip of the channels (voices/rvc/flow.py).

       [p | q] = flip(x)        x = [p | q - post( sum of skips )]

   The skips come from a net of gated layers that begins with h = pre(p):

       a | b = in(h) + condition        res | skip = onward( tanh(a) * sigmoid(b) )        h = h + res

   of which the last has no res. Signals are rows of channels; every convolution keeps their number. */

enum { MOST_GATED = 8 }; /* layers of a coupling's net */

typedef struct {
    const rwc_layer *pre, *in[MOST_GATED], *onward[MOST_GATED], *post;
} rwc_coupling;

typedef struct {
    const rwc_coupling *couplings; /* in the order in which they run */
    int64_t count, layers;
} rwc_flow;

#if defined(RWC_AMX)

typedef struct {
    const rwc_flow *f;
    const float *conditions;        /* [count, layers, a | b] */
    uint16_t *x;                    /* [rows, p | q] */
    uint16_t *p[2], *q[2], *shift;  /* [rows, half of the channels] */
    uint16_t *h[2], *out[2], *gated; /* [rows, width] */
    uint16_t *both;                 /* [rows, a | b] */
    int64_t rows, half, width;
} flowing;

AMX static inline __m512 backwards(__m512 x)
{
    const __m512i order = _mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_permutexvar_ps(order, x);
}

/* [p | q - shift] of rows that lie `step` apart → `to_p` and `to_q`, flipped. Without a shift there was no coupling yet. */
AMX static void flip(member *m, const flowing *c, const uint16_t *p, const uint16_t *q, int64_t step, int shifted,
                     uint16_t *to_p, uint16_t *to_q)
{
    int64_t row, end;
    while (take(m, c->rows, &row, &end))
        for (; row < end; row++)
            for (int64_t d = 0; d < c->half; d += TILE) {
                const int64_t at = row * c->half + d, to = row * c->half + c->half - TILE - d;
                __m512 other = widened(q + row * step + d);
                if (shifted)
                    other = _mm512_sub_ps(other, widened(c->shift + at));
                store(to_p + to, backwards(other));
                store(to_q + to, backwards(widened(p + row * step + d)));
            }
    wait_for_all(m);
}

AMX static void join(member *m, const flowing *c, const uint16_t *p, const uint16_t *q)
{
    int64_t row, end;
    while (take(m, c->rows, &row, &end))
        for (; row < end; row++)
            for (int64_t d = 0; d < c->half; d += TILE) {
                const int64_t at = row * c->half + d, to = 2 * row * c->half + d;
                store(c->x + to, widened(p + at));
                store(c->x + to + c->half, _mm512_sub_ps(widened(q + at), widened(c->shift + at)));
            }
}

AMX static void gate(member *m, const flowing *c, const float *condition)
{
    const __m512 two = _mm512_set1_ps(2), one = _mm512_set1_ps(1);
    int64_t row, end;
    while (take(m, c->rows, &row, &end))
        for (; row < end; row++)
            for (int64_t d = 0; d < c->width; d += TILE) {
                const uint16_t *at = c->both + row * 2 * c->width + d;
                const __m512 a = _mm512_add_ps(widened(at), _mm512_loadu_ps(condition + d));
                const __m512 b = _mm512_add_ps(widened(at + c->width), _mm512_loadu_ps(condition + c->width + d));
                const __m512 tanh_a = _mm512_fmsub_ps(two, sigmoid(_mm512_mul_ps(two, a)), one);
                store(c->gated + row * c->width + d, _mm512_mul_ps(tanh_a, sigmoid(b)));
            }
    wait_for_all(m);
}

/* The columns of a layer from `column` on, as a layer. */
static rwc_layer columns_of(const rwc_layer *l, int64_t column, int64_t out)
{
    rwc_layer part = *l;
    part.w = (const char *)l->w + column * l->in * l->taps * (l->scale ? 1 : 2);
    part.scale = l->scale ? l->scale + column : NULL;
    part.bias = l->bias ? l->bias + column : NULL;
    part.span = l->span ? l->span + column / BLOCK * 2 : NULL;
    part.out = out;
    return part;
}

static void slide(member *m, const flowing *c, const rwc_layer *l, const uint16_t *x, const uint16_t *add, uint16_t *y)
{
    multiplied(m, (product){.layer = l, .x = x, .add = add, .y = y, .rows_in = c->rows, .rows = c->rows});
}

static void couple(member *m, const flowing *c, const rwc_coupling *k, const float *conditions, const uint16_t *p)
{
    int turn = 0;
    slide(m, c, k->pre, p, NULL, c->h[0]);
    for (int64_t n = 0; n < c->f->layers; n++, turn = !turn) {
        const int last = n + 1 == c->f->layers;
        slide(m, c, k->in[n], c->h[turn], NULL, c->both);
        gate(m, c, conditions + n * 2 * c->width);
        const rwc_layer res = columns_of(k->onward[n], 0, c->width);
        const rwc_layer skip = columns_of(k->onward[n], last ? 0 : c->width, c->width);
        if (!last)
            slide(m, c, &res, c->gated, c->h[turn], c->h[!turn]);
        slide(m, c, &skip, c->gated, n ? c->out[turn] : NULL, c->out[!turn]);
    }
    slide(m, c, k->post, c->out[turn], NULL, c->shift);
}

static void run_flow(member *m, void *data)
{
    const flowing *c = data;
    const uint16_t *p = c->x, *q = c->x + c->half;
    for (int64_t n = 0; n < c->f->count; n++) {
        flip(m, c, p, q, n ? c->half : 2 * c->half, n > 0, c->p[n % 2], c->q[n % 2]);
        p = c->p[n % 2], q = c->q[n % 2];
        couple(m, c, c->f->couplings + n, c->conditions + n * c->f->layers * 2 * c->width, p);
    }
    join(m, c, p, q);
}

void rwc_amx_flow(const rwc_flow *f, uintptr_t x, uintptr_t conditions, int64_t rows, uintptr_t scratch, int threads,
                  const rwc_thread_pool *pool)
{
    const int64_t half = f->couplings->pre->in, width = f->couplings->pre->out;
    const int64_t narrow = rows * half, wide = rows * width;
    uint16_t *s = (uint16_t *)scratch, *t = s + 5 * narrow;
    flowing c = {.f = f, .conditions = (void *)conditions, .x = (void *)x, .p = {s, s + narrow},
                 .q = {s + 2 * narrow, s + 3 * narrow}, .shift = s + 4 * narrow, .h = {t, t + wide},
                 .out = {t + 2 * wide, t + 3 * wide}, .gated = t + 4 * wide, .both = t + 5 * wide, .rows = rows,
                 .half = half, .width = width};
    in_thread_pool(pool, threads, run_flow, &c);
}

#else

void rwc_amx_flow(const rwc_flow *f, uintptr_t x, uintptr_t conditions, int64_t rows, uintptr_t scratch, int threads,
                  const rwc_thread_pool *pool) {}

#endif

/* Values of 16 bits that a call needs beside x. */
int64_t rwc_amx_flow_scratch(const rwc_flow *f, int64_t rows)
{
    return rows * (5 * f->couplings->pre->in + 7 * f->couplings->pre->out);
}

int rwc_amx_most_gated(void) { return MOST_GATED; }
