/* One layer of a post-norm transformer as one call: what lies between the products costs more than they do where it is
   done operation by operation, because the weights that go by have swept the caches each time.

       x = norm_1( x + out( attention( qkv(x) ) ) )        x = norm_2( x + down( act( up(x) ) ) )

   Attention may know how far apart two rows are, up to `reach` each way (voices/rvc/text.py has the formula). */

enum { MOST_ROWS = 256, MOST_WIDTH = 128, MOST_REACH = 15 }; /* of attention; channels of a head */

typedef struct {
    const rwc_layer *qkv, *out, *up, *down;
    const float *norm[4];  /* scale and shift of both norms, [width] each */
    const float *near_key; /* [2 * reach + 1, channels of a head], or NULL; the same of values */
    const float *near_value;
    int64_t heads, reach;
    int act;
} rwc_encoder;

#if defined(RWC_AMX)

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

AMX static inline __m512 pair_products(__m512 sum, uint32_t pair, const uint32_t *row)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32((int)pair), (__m512bh)_mm512_loadu_si512(row));
}

AMX static void softmax(float *x, int64_t n)
{
    for (int64_t j = n; j % TILE; j++)
        x[j] = -INFINITY;
    __m512 most = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps();
    for (int64_t j = 0; j < n; j += TILE)
        most = _mm512_max_ps(most, _mm512_loadu_ps(x + j));
    most = _mm512_set1_ps(_mm512_reduce_max_ps(most));
    for (int64_t j = 0; j < n; j += TILE) {
        const __m512 y = exponential(_mm512_max_ps(_mm512_sub_ps(_mm512_loadu_ps(x + j), most), _mm512_set1_ps(-87)));
        const __mmask16 there = n - j >= TILE ? 0xffff : (__mmask16)((1 << (n - j)) - 1);
        _mm512_storeu_ps(x + j, _mm512_maskz_mov_ps(there, y));
        sum = _mm512_mask_add_ps(sum, there, sum, y);
    }
    const __m512 share_of = _mm512_set1_ps(1 / _mm512_reduce_add_ps(sum));
    for (int64_t j = 0; j < n; j += TILE)
        _mm512_storeu_ps(x + j, _mm512_mul_ps(_mm512_loadu_ps(x + j), share_of));
}

/* Adds what row i knows of the places of its neighbours. */
AMX static void near_scores(const rwc_encoder *e, const uint16_t *q, int64_t width, int64_t i, int64_t rows, float *scores)
{
    for (int64_t j = i > e->reach ? i - e->reach : 0; j < rows && j <= i + e->reach; j++) {
        __m512 sum = _mm512_setzero_ps();
        const float *key = e->near_key + (j - i + e->reach) * width;
        for (int64_t d = 0; d < width; d += TILE)
            sum = _mm512_fmadd_ps(widened(q + d), _mm512_loadu_ps(key + d), sum);
        scores[j] += _mm512_reduce_add_ps(sum);
    }
}

AMX static void heard_of(const rwc_encoder *e, const float *weights, const uint16_t *v, int64_t step, int64_t width,
                         int64_t i, int64_t rows, uint16_t *to)
{
    const int64_t first = i > e->reach ? i - e->reach : 0, last = i + e->reach < rows ? i + e->reach + 1 : rows;
    for (int64_t d = 0; d < width; d += TILE) {
        __m512 sum = _mm512_setzero_ps();
        for (int64_t j = 0; j < rows; j++)
            sum = _mm512_fmadd_ps(_mm512_set1_ps(weights[j]), widened(v + j * step + d), sum);
        if (e->near_value)
            for (int64_t j = first; j < last; j++) {
                const float *value = e->near_value + (j - i + e->reach) * width + d;
                sum = _mm512_fmadd_ps(_mm512_set1_ps(weights[j]), _mm512_loadu_ps(value), sum);
            }
        store(to + d, sum);
    }
}

AMX static void attend(const encoding *c, int64_t head)
{
    const int64_t H = c->e->qkv->in, width = H / c->e->heads, rows = c->rows, step = 3 * H;
    const uint16_t *q = c->qkv + head * width, *k = q + H, *v = k + H;
    const __m512 scale = _mm512_set1_ps(1 / sqrtf((float)width));
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
            __m512 sum = _mm512_setzero_ps();
            for (int64_t p = 0; p < width / 2; p++) {
                uint32_t pair;
                memcpy(&pair, of + 2 * p, 4);
                sum = pair_products(sum, pair, m.pairs[p] + j);
            }
            _mm512_storeu_ps(m.scores + j, sum);
        }
        if (c->e->near_key)
            near_scores(c->e, of, width, i, rows, m.scores);
        for (int64_t j = 0; j < rows; j += TILE)
            _mm512_storeu_ps(m.scores + j, _mm512_mul_ps(_mm512_loadu_ps(m.scores + j), scale));
        softmax(m.scores, rows);
        heard_of(c->e, m.scores, v, step, width, i, rows, c->heard + i * H + head * width);
    }
}

AMX static void norm(const uint16_t *x, uint16_t *y, int64_t width, const float *scale, const float *shift)
{
    __m512 sum = _mm512_setzero_ps(), square = sum;
    for (int64_t d = 0; d < width; d += TILE)
        sum = _mm512_add_ps(sum, widened(x + d));
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)width);
    for (int64_t d = 0; d < width; d += TILE) {
        const __m512 apart = _mm512_sub_ps(widened(x + d), mean);
        square = _mm512_fmadd_ps(apart, apart, square);
    }
    const __m512 by = _mm512_set1_ps(1 / sqrtf(_mm512_reduce_add_ps(square) / (float)width + 1e-5f));
    for (int64_t d = 0; d < width; d += TILE) {
        const __m512 one = _mm512_mul_ps(_mm512_sub_ps(widened(x + d), mean), by);
        store(y + d, _mm512_fmadd_ps(one, _mm512_loadu_ps(scale + d), _mm512_loadu_ps(shift + d)));
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

void rwc_amx_encode(const rwc_encoder *e, uintptr_t x, int64_t rows, uintptr_t scratch, int threads, const rwc_thread_pool *pool)
{
    const int64_t cells = rows * e->qkv->in;
    uint16_t *s = (uint16_t *)scratch;
    encoding c = {e, (void *)x, s, s + 3 * cells, s + 5 * cells, s + 4 * cells, rows};
    in_thread_pool(pool, threads, encode, &c);
}

#else

void rwc_amx_encode(const rwc_encoder *e, uintptr_t x, int64_t rows, uintptr_t scratch, int threads, const rwc_thread_pool *pool) {}

#endif

/* Values of 16 bits that a call needs beside x. */
int64_t rwc_amx_encoder_scratch(const rwc_encoder *e, int64_t rows)
{
    return rows * (5 * e->qkv->in + e->up->out);
}

/* Whether attention of this size can run so. */
int rwc_amx_encoder_fits(int64_t width, int64_t heads, int64_t reach)
{
    return width % heads == 0 && width / heads % TILE == 0 && width / heads <= MOST_WIDTH && reach <= MOST_REACH;
}

int rwc_amx_most_rows(void) { return MOST_ROWS; }
