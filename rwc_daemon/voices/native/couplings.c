/* The flow as one call: couplings, each behind a flip of the channels (voices/rvc/flow.py).

       [p | q] = flip(x)        x = [p | q - post( sum of skips )]

   The skips come from a net of gated layers that begins with h = pre(p):

       a | b = in(h) + condition        res | skip = onward( tanh(a) * sigmoid(b) )        h = h + res

   of which the last has no res. Signals are rows of channels; every convolution keeps their number. */

typedef struct {
    const rwc_flow *f;
    const float *conditions;        /* [count, layers, a | b] */
    uint16_t *x;                    /* [rows, p | q] */
    uint16_t *p[2], *q[2], *shift;  /* [rows, half of the channels] */
    uint16_t *h[2], *out[2], *gated; /* [rows, width] */
    uint16_t *both;                 /* [rows, a | b] */
    int64_t rows, half, width;
} flowing;

/* [p | q - shift] of rows that lie `step` apart → `to_p` and `to_q`, flipped. Without a shift there was no coupling yet. */
TARGET static void flip(member *m, const flowing *c, const uint16_t *p, const uint16_t *q, int64_t step, int shifted,
                     uint16_t *to_p, uint16_t *to_q)
{
    int64_t row, end;
    while (take(m, c->rows, &row, &end))
        for (; row < end; row++)
            for (int64_t d = 0; d < c->half; d += TILE) {
                const int64_t at = row * c->half + d, to = row * c->half + c->half - TILE - d;
                vec other = v_widen(q + row * step + d);
                if (shifted)
                    other = v_sub(other, v_widen(c->shift + at));
                v_narrow(to_p + to, v_reverse(other));
                v_narrow(to_q + to, v_reverse(v_widen(p + row * step + d)));
            }
    wait_for_all(m);
}

TARGET static void join(member *m, const flowing *c, const uint16_t *p, const uint16_t *q)
{
    int64_t row, end;
    while (take(m, c->rows, &row, &end))
        for (; row < end; row++)
            for (int64_t d = 0; d < c->half; d += TILE) {
                const int64_t at = row * c->half + d, to = 2 * row * c->half + d;
                v_narrow(c->x + to, v_widen(p + at));
                v_narrow(c->x + to + c->half, v_sub(v_widen(q + at), v_widen(c->shift + at)));
            }
}

TARGET static void gate(member *m, const flowing *c, const float *condition)
{
    const vec two = v_all(2), one = v_all(1);
    int64_t row, end;
    while (take(m, c->rows, &row, &end))
        for (; row < end; row++)
            for (int64_t d = 0; d < c->width; d += TILE) {
                const uint16_t *at = c->both + row * 2 * c->width + d;
                const vec a = v_add(v_widen(at), v_load(condition + d));
                const vec b = v_add(v_widen(at + c->width), v_load(condition + c->width + d));
                const vec tanh_a = v_mul_sub(two, sigmoid(v_mul(two, a)), one);
                v_narrow(c->gated + row * c->width + d, v_mul(tanh_a, sigmoid(b)));
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

static void run_couplings(const rwc_flow *f, uint16_t *x, const float *conditions, int64_t rows, uint16_t *scratch, int threads,
                  const rwc_thread_pool *pool)
{
    const int64_t half = f->couplings->pre->in, width = f->couplings->pre->out;
    const int64_t narrow = rows * half, wide = rows * width;
    uint16_t *s = scratch, *t = s + 5 * narrow;
    flowing c = {.f = f, .conditions = conditions, .x = x, .p = {s, s + narrow},
                 .q = {s + 2 * narrow, s + 3 * narrow}, .shift = s + 4 * narrow, .h = {t, t + wide},
                 .out = {t + 2 * wide, t + 3 * wide}, .gated = t + 4 * wide, .both = t + 5 * wide, .rows = rows,
                 .half = half, .width = width};
    in_thread_pool(pool, threads, run_flow, &c);
}
