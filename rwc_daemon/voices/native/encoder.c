/* One layer of a post-norm transformer as one call: what lies between the products costs more than they do where it is
   done operation by operation, because the weights that go by have swept the caches each time.

       x = norm_1( x + out( attention( qkv(x) ) ) )        x = norm_2( x + down( act( up(x) ) ) )

   Attention may know how far apart two rows are, up to `reach` each way (voices/rvc/text.py has the formula). */

typedef struct {
    const rwc_encoder *e;
    uint16_t *x, *qkv, *heard, *inner, *sum; /* [rows, width], three times as wide, as x, what `up` gives, as x */
    int64_t rows;
} encoding;

/* Keys of one head with rows beside each other: [pairs of channels][rows], for one product of pairs at a time. */
typedef struct {
    uint32_t pairs[MOST_WIDTH / 2][MOST_ROWS];
    float scores[MOST_ROWS + 2 * TILE];
} attention_memory;

TARGET static void softmax(float *x, int64_t n)
{
    for (int64_t j = n; j % TILE; j++)
        x[j] = -INFINITY;
    vec most = v_all(-INFINITY), sum = v_zero();
    for (int64_t j = 0; j < n; j += TILE)
        most = v_max(most, v_load(x + j));
    most = v_all(v_greatest(most));
    for (int64_t j = 0; j < n; j += TILE) {
        const vec y = exponential(v_max(v_sub(v_load(x + j), most), v_all(-87)));
        const vec there = v_first(n - j, y);
        v_put(x + j, there);
        sum = v_add(sum, there);
    }
    const vec share_of = v_all(1 / v_sum(sum));
    for (int64_t j = 0; j < n; j += TILE)
        v_put(x + j, v_mul(v_load(x + j), share_of));
}

/* Adds what row i knows of the places of its neighbours. */
TARGET static void near_scores(const rwc_encoder *e, const uint16_t *q, int64_t width, int64_t i, int64_t rows, float *scores)
{
    for (int64_t j = i > e->reach ? i - e->reach : 0; j < rows && j <= i + e->reach; j++) {
        vec sum = v_zero();
        const float *key = e->near_key + (j - i + e->reach) * width;
        for (int64_t d = 0; d < width; d += TILE)
            sum = v_mul_add(v_widen(q + d), v_load(key + d), sum);
        scores[j] += v_sum(sum);
    }
}

TARGET static void heard_of(const rwc_encoder *e, const float *weights, const uint16_t *v, int64_t step, int64_t width,
                         int64_t i, int64_t rows, uint16_t *to)
{
    const int64_t first = i > e->reach ? i - e->reach : 0, last = i + e->reach < rows ? i + e->reach + 1 : rows;
    for (int64_t d = 0; d < width; d += TILE) {
        vec sum = v_zero();
        for (int64_t j = 0; j < rows; j++)
            sum = v_mul_add(v_all(weights[j]), v_widen(v + j * step + d), sum);
        if (e->near_value)
            for (int64_t j = first; j < last; j++) {
                const float *value = e->near_value + (j - i + e->reach) * width + d;
                sum = v_mul_add(v_all(weights[j]), v_load(value), sum);
            }
        v_narrow(to + d, sum);
    }
}

TARGET static void attend(const encoding *c, int64_t head)
{
    const int64_t H = c->e->qkv->in, width = H / c->e->heads, rows = c->rows, step = 3 * H;
    const uint16_t *q = c->qkv + head * width, *k = q + H, *v = k + H;
    const vec scale = v_all(1 / sqrtf((float)width));
    attention_memory m;
    for (int64_t j = 0; j < (rows + TILE - 1) / TILE * TILE; j++)
        for (int64_t p = 0; p < width / 2; p++)
            m.pairs[p][j] = 0;
    for (int64_t j = 0; j < rows; j++)
        for (int64_t p = 0; p < width / 2; p++)
            memcpy(&m.pairs[p][j], k + j * step + 2 * p, 4);
    for (int64_t i = 0; i < rows; i++) {
        const uint16_t *of = q + i * step;
        for (int64_t j = 0; j < rows; j += TILE) {
            vec sum = v_zero();
            for (int64_t p = 0; p < width / 2; p++) {
                uint32_t pair;
                memcpy(&pair, of + 2 * p, 4);
                sum = v_pairs(sum, pair, m.pairs[p] + j);
            }
            v_put(m.scores + j, sum);
        }
        if (c->e->near_key)
            near_scores(c->e, of, width, i, rows, m.scores);
        for (int64_t j = 0; j < rows; j += TILE)
            v_put(m.scores + j, v_mul(v_load(m.scores + j), scale));
        softmax(m.scores, rows);
        heard_of(c->e, m.scores, v, step, width, i, rows, c->heard + i * H + head * width);
    }
}

TARGET static void norm(const uint16_t *x, uint16_t *y, int64_t width, const float *scale, const float *shift)
{
    vec sum = v_zero(), square = sum;
    for (int64_t d = 0; d < width; d += TILE)
        sum = v_add(sum, v_widen(x + d));
    const vec mean = v_all(v_sum(sum) / (float)width);
    for (int64_t d = 0; d < width; d += TILE) {
        const vec apart = v_sub(v_widen(x + d), mean);
        square = v_mul_add(apart, apart, square);
    }
    const vec by = v_all(1 / sqrtf(v_sum(square) / (float)width + 1e-5f));
    for (int64_t d = 0; d < width; d += TILE) {
        const vec one = v_mul(v_sub(v_widen(x + d), mean), by);
        v_narrow(y + d, v_mul_add(one, v_load(scale + d), v_load(shift + d)));
    }
}

static void projected(member *m, const encoding *c, const rwc_layer *l, const uint16_t *x, const uint16_t *add,
                      uint16_t *y, int act)
{
    multiplied(m, (product){.layer = l, .x = x, .add = add, .y = y, .rows_in = c->rows, .rows = c->rows, .act = act});
}

static void normed(member *m, int64_t rows, int64_t width, const uint16_t *x, uint16_t *y, const float *const *norm_of)
{
    int64_t row, end;
    while (take(m, rows, &row, &end))
        for (; row < end; row++)
            norm(x + row * width, y + row * width, width, norm_of[0], norm_of[1]);
    wait_for_all(m);
}

static void encode(member *m, void *data)
{
    const encoding *c = data;
    const rwc_encoder *e = c->e;
    const int64_t width = e->qkv->in;
    int64_t head, end;
    projected(m, c, e->qkv, c->x, NULL, c->qkv, RWC_PLAIN);
    while (take(m, e->heads, &head, &end))
        for (; head < end; head++)
            attend(c, head);
    wait_for_all(m);
    projected(m, c, e->out, c->heard, c->x, c->sum, RWC_PLAIN);
    normed(m, c->rows, width, c->sum, c->x, e->norm);
    projected(m, c, e->up, c->x, NULL, c->inner, e->act);
    projected(m, c, e->down, c->inner, c->x, c->sum, RWC_PLAIN);
    normed(m, c->rows, width, c->sum, c->x, e->norm + 2);
}

static void run_encoder(const rwc_encoder *e, uint16_t *x, int64_t rows, uint16_t *scratch, int threads, const rwc_thread_pool *pool)
{
    const int64_t cells = rows * e->qkv->in;
    uint16_t *s = scratch;
    encoding c = {e, x, s, s + 3 * cells, s + 5 * cells, s + 4 * cells, rows};
    in_thread_pool(pool, threads, encode, &c);
}
