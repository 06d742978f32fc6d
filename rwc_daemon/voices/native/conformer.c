/* The convolution module of a conformer as one call:

       y = x + down( silu( depthwise( a * sigmoid(b) ) ) )        a | b = up( norm(x) )

   Signals are rows of channels; the depthwise convolution hears as many rows before as behind. */

typedef struct {
    const rwc_conformer *f;
    const uint16_t *x;
    uint16_t *y, *normed, *both, *heard; /* as x, as x, [rows, 2 inner], [rows, inner] */
    float *gated;                        /* [rows, inner] */
    int64_t rows;
} conforming;

/* Of the channels first … last - 1. */
TARGET static void gate_and_slide(const conforming *c, int64_t first, int64_t last)
{
    const int64_t inner = c->f->down->in, half = c->f->kernel / 2;
    for (int64_t row = 0; row < c->rows; row++)
        for (int64_t d = first; d < last; d += TILE) {
            const uint16_t *a = c->both + row * 2 * inner + d;
            v_put(c->gated + row * inner + d, v_mul(v_widen(a), sigmoid(v_widen(a + inner))));
        }
    for (int64_t row = 0; row < c->rows; row++) {
        const int64_t from = row < half ? half - row : 0;
        const int64_t left = c->rows - row + half, to = left < c->f->kernel ? left : c->f->kernel;
        for (int64_t d = first; d < last; d += TILE) {
            vec sum = v_load(c->f->bias + d);
            for (int64_t tap = from; tap < to; tap++)
                sum = v_mul_add(v_load(c->gated + (row + tap - half) * inner + d),
                                      v_load(c->f->taps + tap * inner + d), sum);
            v_narrow(c->heard + row * inner + d, v_mul(sum, sigmoid(sum)));
        }
    }
}

static void conform(member *m, void *data)
{
    const conforming *c = data;
    int64_t tile, end;
    normed(m, c->rows, c->f->up->in, c->x, c->normed, c->f->norm);
    multiplied(m, (product){.layer = c->f->up, .x = c->normed, .y = c->both, .rows_in = c->rows, .rows = c->rows});
    while (take(m, c->f->down->in / TILE, &tile, &end))
        gate_and_slide(c, tile * TILE, end * TILE);
    wait_for_all(m);
    multiplied(m, (product){.layer = c->f->down, .x = c->heard, .add = c->x, .y = c->y, .rows_in = c->rows, .rows = c->rows});
}

static void run_conformer(const rwc_conformer *f, const uint16_t *x, uint16_t *y, int64_t rows, uint16_t *scratch, int threads,
                     const rwc_thread_pool *pool)
{
    const int64_t width = rows * f->up->in, inner = rows * f->down->in;
    uint16_t *s = scratch;
    conforming c = {.f = f, .x = x, .y = y, .gated = (void *)s, .normed = s + 2 * inner, .rows = rows,
                    .both = s + 2 * inner + width, .heard = s + 4 * inner + width};
    in_thread_pool(pool, threads, conform, &c);
}
