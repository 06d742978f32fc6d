/* Sliding products in bfloat16 with sums in float32:

       y[r, o] = act( bias[o] + sum over taps j and channels c of w[j, c, o] * x[r * stride - padding + j * dilation, c] )
                 + add[r, o]

   Linear layers (one tap) and convolutions over channels-last signals alike; x is 0 outside its rows. Weights lie in the
   order in which they are read (layers.h), and what comes next is asked for ahead: at the few rows of a live block
   reading them is the work, and a core that is told what comes reads a tenth faster.
*/

enum { AHEAD = 4096 };                 /* bytes of weights asked for before they are needed */
enum { NEAR = 1 << 13, TOGETHER = 4 }; /* bytes of input that stay at hand for so many blocks of columns */

/* Weights of 8 bits as bfloat16: of one step, and of the next while that is multiplied. */
typedef struct {
    _Alignas(64) uint16_t w[2][STEP];
    const char *next; /* what lies, widened, in w[turn] */
    int turn;
} widened_steps;

INLINE void widen_next(widened_steps *s, const char *w)
{
    s->next = w;
    widen_step(s->w[s->turn], w);
}

/* What one call of `multiply` goes through: of one block of columns some taps and channels, as the weights lie. */
typedef struct {
    const char *w, *then; /* the weights, and those that are needed after them */
    int64_t tap, taps, channel, channels; /* from, and one behind the last */
} stretch;

/* One block of at most 32 rows and 32 columns; x: what the first row's first tap sees. `more`: added to `sums`. */
TARGET static void multiply(const rwc_layer *l, const stretch *s, const uint16_t *x, int upper, int lower, int more,
                         widened_steps *wide, float *sums)
{
    const int bytes = l->scale ? STEP : STEP * 2;
    const char *w = s->w, *end = w + (s->taps - s->tap) * (s->channels - s->channel) / BLOCK * bytes;
    const char *behind = (const char *)l->w + l->out / BLOCK * l->taps * (l->in / BLOCK) * bytes;
    const int64_t row = l->stride * l->pitch;
    sums_begin(sums, upper, lower, more);
    if (l->scale && w < end && wide->next != w)
        widen_next(wide, w);
    for (int64_t tap = s->tap; tap < s->taps; tap++) {
        const uint16_t *at = x + tap * l->dilation * l->pitch;
        for (int64_t c = s->channel; c < s->channels; c += BLOCK, w += bytes) {
            ask_for(end - w > AHEAD ? w + AHEAD : s->then + AHEAD - (end - w), bytes);
            const uint16_t *now = (const uint16_t *)w;
            if (l->scale) {
                now = wide->w[wide->turn];
                wide->turn = !wide->turn;
                const char *next = w + bytes < end ? w + bytes : s->then;
                if (next < behind)
                    widen_next(wide, next);
            }
            sums_add(sums, now, at + c, row, upper, lower);
        }
    }
    sums_end(sums, upper, lower);
}

INLINE vec exponential(vec x)
{
    const vec turns = v_mul(x, v_all(1.44269504f));
    const vec whole = v_round(turns);
    const vec f = v_mul(v_sub(turns, whole), v_all(0.693147181f));
    vec y = v_all(1 / 120.f);
    const float taylor[] = {1 / 24.f, 1 / 6.f, 1 / 2.f, 1, 1};
    for (int n = 0; n < 5; n++)
        y = v_mul_add(y, f, v_all(taylor[n]));
    return v_scale(y, whole);
}

INLINE vec sigmoid(vec x)
{
    const vec one = v_all(1), away = v_sub(v_zero(), x);
    return v_div(one, v_add(one, exponential(v_min(away, v_all(80)))));
}

/* x/2 (1 + erf(x/√2)), erf within 1.5e-7: Abramowitz and Stegun, 7.1.26. */
INLINE vec gelu(vec x)
{
    const vec z = v_mul(v_abs(x), v_all(0.707106781f));
    const vec t = v_div(v_all(1), v_mul_add(z, v_all(0.3275911f), v_all(1)));
    vec y = v_all(1.061405429f);
    const float series[] = {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f, 0};
    for (int n = 0; n < 5; n++)
        y = v_mul_add(y, t, v_all(series[n]));
    y = v_mul(y, exponential(v_sub(v_zero(), v_mul(z, z)))); /* 1 - erf(z) */
    const vec twice = v_if_negative(x, y, v_sub(v_all(2), y));
    return v_mul(v_mul(x, v_all(0.5f)), twice);
}

INLINE vec activated(int act, float slope, vec y)
{
    const vec zero = v_zero();
    switch (act) {
    case RWC_RELU:
        return v_max(y, zero);
    case RWC_LEAKY:
        return v_max(y, v_mul(y, v_all(slope)));
    case RWC_GELU:
        return gelu(y);
    default:
        return y;
    }
}

TARGET static void finish(const product *p, const float *sums, int64_t row, int rows, int64_t column)
{
    vec bias[2] = {v_zero(), v_zero()}, scale[2] = {v_all(1), v_all(1)};
    for (int half = 0; half < 2; half++) {
        if (p->layer->bias)
            bias[half] = v_load(p->layer->bias + column + half * TILE);
        if (p->layer->scale)
            scale[half] = v_load(p->layer->scale + column + half * TILE);
    }
    for (int r = 0; r < rows; r++) {
        const int64_t at = (row + r) * p->layer->out + column;
        for (int half = 0; half < 2; half++) {
            vec y = v_mul_add(v_load(sums + r * BLOCK + half * TILE), scale[half], bias[half]);
            y = activated(p->act, p->slope, y);
            if (p->add)
                y = v_add(y, v_widen(p->add + at + half * TILE));
            v_narrow(p->y + at + half * TILE, y);
            if (p->leaky)
                v_narrow(p->leaky + at + half * TILE, activated(RWC_LEAKY, p->slope, y));
        }
    }
}

/* The rows of x that a block sees, as they are or, where some lie outside, copied between zeros. */
static const uint16_t *seen(const product *p, int64_t row, int rows, uint16_t *scratch)
{
    const rwc_layer *l = p->layer;
    const int64_t first = row * l->stride - l->padding;
    const int64_t count = (rows - 1) * l->stride + (l->taps - 1) * l->dilation + 1;
    if (first >= 0 && first + count <= p->rows_in)
        return p->x + first * l->pitch;
    const int64_t from = first < 0 ? 0 : first;
    const int64_t to = first + count < p->rows_in ? first + count : p->rows_in;
    memset(scratch, 0, count * l->in * 2);
    if (to > from)
        memcpy(scratch + (from - first) * l->in, p->x + from * l->in, (to - from) * l->in * 2);
    return scratch;
}

static stretch stretch_of(const rwc_layer *l, int64_t column, int64_t channel, int64_t channels)
{
    const int32_t *span = l->span ? l->span + column / BLOCK * 2 : NULL;
    const int64_t from = span ? span[0] : 0, to = span ? span[1] : l->taps, bytes = l->scale ? STEP : STEP * 2;
    const char *w = (const char *)l->w + ((column / BLOCK * l->taps + from) * l->in + channel) / BLOCK * bytes;
    return (stretch){w, w + (to - from) * (channels - channel) / BLOCK * bytes, from, to, channel, channels};
}

/* A linear layer over few rows, some channels after the other, so that these are read from the nearest cache: before,
   they were swept out of it by the weights of each block of columns. The last column. */
TARGET static int64_t run_by_channels(const product *p, const uint16_t *x, int64_t row, int upper, int lower, int64_t column,
                                   int64_t last)
{
    _Alignas(64) float sums[TOGETHER][BLOCK * BLOCK];
    widened_steps wide;
    wide.next = NULL, wide.turn = 0;
    const rwc_layer *l = p->layer;
    const int rows = upper + lower;
    const int64_t fit = NEAR / (2 * rows) / BLOCK * BLOCK, near = fit > BLOCK ? fit : BLOCK;
    for (; column < last; column += TOGETHER * BLOCK) {
        const int64_t until = column + TOGETHER * BLOCK < last ? column + TOGETHER * BLOCK : last;
        for (int64_t c = 0; c < l->in; c += near) {
            const int64_t behind = c + near < l->in ? c + near : l->in;
            for (int64_t n = column; n < until; n += BLOCK) {
                stretch s = stretch_of(l, n, c, behind);
                const int64_t next = n + BLOCK < until ? n + BLOCK : behind < l->in ? column : until;
                s.then = stretch_of(l, next, n + BLOCK < until ? c : behind % l->in, 0).w;
                multiply(l, &s, x, upper, lower, c > 0, &wide, sums[(n - column) / BLOCK]);
            }
        }
        for (int64_t n = column; n < until; n += BLOCK)
            finish(p, sums[(n - column) / BLOCK], row, rows, n);
    }
    return last;
}

/* All blocks are alike, so that tiles are shaped once: the last may begin within the one before it. */
TARGET static void run_part(const product *p, int64_t row, int64_t end, int64_t column, int64_t last)
{
    _Alignas(64) uint16_t scratch[SCRATCH / 2];
    _Alignas(64) float sums[BLOCK * BLOCK];
    widened_steps wide;
    wide.next = NULL, wide.turn = 0;
    const rwc_layer *l = p->layer;
    const int64_t blocks = (end - row + BLOCK - 1) / BLOCK;
    if (blocks <= 0 || column >= last)
        return;
    const int rows = (int)((end - row + blocks - 1) / blocks), upper = rows > TILE ? (rows + 1) / 2 : rows;
    tiles_begin(upper, rows - upper);
    if (blocks == 1 && l->taps == 1 && l->in * rows * 2 > NEAR)
        column = run_by_channels(p, seen(p, row, rows, scratch), row, upper, rows - upper, column, last);
    for (; column < last; column += BLOCK) {
        const stretch s = stretch_of(l, column, 0, l->in);
        for (int64_t n = 0; n < blocks; n++) {
            const int64_t at = row + n * rows + rows > end ? end - rows : row + n * rows;
            multiply(l, &s, seen(p, at, rows, scratch), upper, rows - upper, 0, &wide, sums);
            finish(p, sums, at, rows, column);
        }
    }
    tiles_end();
}

static int64_t share(int64_t whole, int n, int of)
{
    return whole * n / of;
}

/* How a pool shares out work. Each member begins with its own part, from its front; who is done helps the others, from
   the back of theirs: what serves the sound cards takes a processor away many times a block, and the rest of the pool
   would wait for it. A call is a row of such works with a barrier behind each. */

enum { MOST_SHARES = 64, PIECES = 12 }; /* of more members some have no part of their own; of a part, taken one by one */
enum { TURNS = 4 };                     /* works that are told apart */

typedef struct {
    _Alignas(64) uint64_t count; /* units of a part: taken from its front << 32 | from its back */
} taken_units;

typedef struct {
    const rwc_thread_pool *pool;
    taken_units (*taken)[MOST_SHARES]; /* of each turn */
    int number, count, turn;
} member;

typedef struct {
    void (*work)(member *, void *);
    void *data;
    const rwc_thread_pool *pool;
    taken_units (*taken)[MOST_SHARES];
} pool_work;

/* Some of the units of this work that nobody has taken, from … to - 1; or 0. */
static int take(const member *m, int64_t units, int64_t *from, int64_t *to)
{
    const int shares = m->count < MOST_SHARES ? m->count : MOST_SHARES;
    const int64_t fine = (units + PIECES * shares - 1) / (PIECES * shares);
    const int64_t whole = fine > TOGETHER ? (fine + TOGETHER - 1) / TOGETHER * TOGETHER : fine;
    const int64_t most = m->count == 1 ? units : whole;
    for (int n = 0; n < shares; n++) {
        const int whose = (m->number + n) % shares, own = whose == m->number;
        const int64_t first = share(units, whose, shares), last = share(units, whose + 1, shares);
        uint64_t *count = &m->taken[m->turn][whose].count, before = __atomic_load_n(count, __ATOMIC_RELAXED);
        for (;;) {
            const int64_t front = (int64_t)(before >> 32), back = (int64_t)(before & UINT32_MAX);
            const int64_t left = last - first - front - back, taken = left < most ? left : most;
            if (taken <= 0)
                break;
            const uint64_t after = before + ((uint64_t)taken << (own ? 32 : 0));
            if (!__atomic_compare_exchange_n(count, &before, after, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
                continue;
            *from = own ? first + front : last - back - taken;
            *to = *from + taken;
            return 1;
        }
    }
    return 0;
}

/* The end of one work, and the beginning of the next. Nobody is at the last but one any more: its counts are cleared. */
static void wait_for_all(member *m)
{
    if (m->count > 1)
        ((void (*)(void))m->pool->barrier)();
    m->turn = (m->turn + 1) % TURNS;
    if (m->number < MOST_SHARES)
        m->taken[(m->turn + 2) % TURNS][m->number].count = 0;
}

static void as_member(void *data)
{
    const pool_work *t = data;
    member m = {t->pool, t->taken, ((int (*)(void))t->pool->number)(), ((int (*)(void))t->pool->count)(), 0};
    t->work(&m, t->data);
}

static void in_thread_pool(const rwc_thread_pool *pool, int threads, void (*work)(member *, void *), void *data)
{
    taken_units taken[TURNS][MOST_SHARES];
    for (int turn = 0; turn < TURNS; turn++)
        memset(taken[turn], 0, sizeof(taken_units) * (size_t)(threads < MOST_SHARES ? threads : MOST_SHARES));
    pool_work t = {work, data, pool, taken};
    member alone = {pool, taken, 0, 1, 0};
    if (threads <= 1 || !pool)
        work(&alone, data);
    else
        ((void (*)(void (*)(void *), void *, unsigned, unsigned))pool->parallel)(as_member, &t, threads, 0);
}

/* Shared out by columns, so that each thread reads its part of the weights; or by rows, so that each goes on with the
   rows that it made, where there is much input or that shares more evenly. */
static void run(member *m, void *data)
{
    const product *p = data;
    const int64_t of = m->count, columns = p->layer->out / BLOCK, blocks = (p->rows + BLOCK - 1) / BLOCK;
    const int64_t by_columns = (columns + of - 1) / of * blocks, by_rows = (blocks + of - 1) / of * columns;
    const int much_input = p->layer->taps * p->layer->out < 4 * p->rows;
    const int64_t pieces = (blocks + of - 1) / of * of; /* of the rows */
    int64_t from, to;
    if (much_input ? by_columns * 5 < by_rows * 4 : by_columns <= by_rows)
        while (take(m, columns, &from, &to))
            run_part(p, 0, p->rows, from * BLOCK, to * BLOCK);
    else
        while (take(m, pieces, &from, &to))
            run_part(p, share(p->rows, from, pieces), share(p->rows, to, pieces), 0, p->layer->out);
}

static void multiplied(member *m, product p)
{
    run(m, &p);
    wait_for_all(m);
}

static void run_alone(const product *p, int threads, const rwc_thread_pool *pool)
{
    product one = *p;
    in_thread_pool(pool, threads, run, &one);
}
