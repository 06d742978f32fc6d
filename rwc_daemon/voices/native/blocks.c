/* The residual blocks of one stage of a decoder as one call: the leaky ReLU of their mean.

       step of a block:  x = x + second( leaky( first( leaky(x) ) ) )    or, without a second,    x = x + first( leaky(x) )

   Signals are rows of channels; every convolution keeps their number. */

typedef struct {
    const rwc_blocks *b;
    const uint16_t *x;
    uint16_t *y, *leaky, *inner, *turns[2], *heard[2], *results;
    int64_t rows;
    float slope; /* of the leaky ReLU behind the mean */
} blocking;

static int64_t cells_of(const blocking *c)
{
    return c->rows * c->b->layers[0]->out;
}

TARGET static void leaky_of(member *m, const blocking *c)
{
    int64_t tile, end;
    while (take(m, cells_of(c) / TILE, &tile, &end))
        for (int64_t n = tile * TILE; n < end * TILE; n += TILE)
            v_narrow(c->leaky + n, activated(RWC_LEAKY, c->b->slope, v_widen(c->x + n)));
    wait_for_all(m);
}

TARGET static void mean_of(member *m, const blocking *c)
{
    const int64_t cells = cells_of(c);
    const vec part = v_all(1 / (float)c->b->blocks);
    int64_t tile, end;
    while (take(m, cells / TILE, &tile, &end))
        for (int64_t n = tile * TILE; n < end * TILE; n += TILE) {
            vec sum = v_widen(c->results + n);
            for (int64_t j = 1; j < c->b->blocks; j++)
                sum = v_add(sum, v_widen(c->results + j * cells + n));
            v_narrow(c->y + n, activated(RWC_LEAKY, c->slope, v_mul(sum, part)));
        }
}

static void run_block(member *m, const blocking *c, int64_t block)
{
    const rwc_blocks *b = c->b;
    const rwc_layer *const *layer = b->layers + block * b->steps * b->convolutions;
    product p = {.rows_in = c->rows, .rows = c->rows, .slope = b->slope};
    const uint16_t *x = c->x, *heard = c->leaky;
    for (int64_t step = 0; step < b->steps; step++) {
        const int last = step + 1 == b->steps;
        if (b->convolutions == 2) {
            p.layer = *layer++, p.x = heard, p.y = c->inner, p.add = NULL, p.leaky = NULL, p.act = RWC_LEAKY;
            multiplied(m, p);
            heard = c->inner;
        }
        p.layer = *layer++, p.x = heard, p.add = x, p.act = RWC_PLAIN;
        p.y = last ? c->results + block * cells_of(c) : c->turns[step % 2];
        p.leaky = last ? NULL : c->heard[step % 2];
        multiplied(m, p);
        x = p.y, heard = p.leaky;
    }
}

static void run_blocks(member *m, void *data)
{
    const blocking *c = data;
    leaky_of(m, c);
    for (int64_t block = 0; block < c->b->blocks; block++)
        run_block(m, c, block);
    mean_of(m, c);
}

static void run_stage(const rwc_blocks *b, const uint16_t *x, uint16_t *y, int64_t rows, float slope, uint16_t *scratch, int threads,
                    const rwc_thread_pool *pool)
{
    const int64_t cells = rows * b->layers[0]->out;
    uint16_t *s = scratch;
    blocking c = {.b = b, .x = x, .y = y, .leaky = s, .inner = s + cells,
                  .turns = {s + 2 * cells, s + 3 * cells}, .heard = {s + 4 * cells, s + 5 * cells},
                  .results = s + WITHIN * cells, .rows = rows, .slope = slope};
    in_thread_pool(pool, threads, run_blocks, &c);
}
