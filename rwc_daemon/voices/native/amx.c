/* Sliding products on a CPU's matrix unit (AMX), in bfloat16 with sums in float32:

       y[r, o] = act( bias[o] + sum over taps j and channels c of w[j, c, o] * x[r * stride - padding + j * dilation, c] )
                 + add[r, o]

   Linear layers (one tap) and convolutions over channels-last signals alike; x is 0 outside its rows. Weights lie in the
   order in which they are read, and what comes next is asked for ahead: at the few rows of a live block reading them is
   the work, and a core that is told what comes reads a tenth faster.

   Weights: [out / 32][tap][in / 32][half][16 pairs][16 columns][2], the last dimension being two neighbouring channels.
   Or, where a layer has scales, whole numbers of 8 bits (sign and magnitude) in units of their column's: half as much to
   read, and exact in bfloat16. There 16 bytes of one pair of rows and 16 of the next lie in turns, as they are unpacked.
*/

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { RWC_PLAIN, RWC_RELU, RWC_LEAKY, RWC_GELU };
enum { TILE = 16, BLOCK = 32, STEP = 2 * TILE * TILE * 2 }; /* rows of a tile; columns at once; weights of one step */
enum { SCRATCH = 1 << 18 };                                 /* bytes of input that a block of rows may see */
enum { AHEAD = 4096 };                                      /* bytes of weights asked for before they are needed */
enum { NEAR = 1 << 13, TOGETHER = 4 }; /* bytes of input that stay at hand for so many blocks of columns */

typedef struct {
    const void *w;
    const float *scale;  /* [out]: w is 8 bits wide; or NULL */
    const float *bias;   /* [out] or NULL */
    const int32_t *span; /* [out / 32, 2]: the first tap of these columns that is not 0, and one behind the last; or NULL */
    int64_t in, out, taps, stride, dilation, padding;
    int64_t pitch; /* from one row of x to the next: `in`, or what overlapping rows of a layer without padding are apart */
} rwc_layer;

typedef struct {
    const rwc_layer *layer;
    const uint16_t *x;   /* [rows_in, in], rows `pitch` apart */
    const uint16_t *add; /* [rows, out] or NULL */
    uint16_t *y;         /* [rows, out] */
    uint16_t *leaky;     /* [rows, out]: leaky ReLU of y, or NULL */
    int64_t rows_in, rows;
    int act;
    float slope; /* of leaky ReLUs, at most 1 */
} product;

typedef struct { /* of the OpenMP runtime that torch has loaded: a second one would be in its way */
    void *parallel, *number, *count, *barrier;
} rwc_thread_pool;

/* Whether a layer can run so. */
int rwc_amx_fits(const rwc_layer *l)
{
    const int64_t seen = (BLOCK - 1) * l->stride + (l->taps - 1) * l->dilation + 1;
    if (l->in % BLOCK || l->out % BLOCK)
        return 0;
    return l->padding == 0 || (l->pitch == l->in && seen * l->in * 2 <= SCRATCH);
}

#if defined(__x86_64__) && defined(__linux__) && (__GNUC__ >= 11 || __clang_major__ >= 12)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RWC_AMX 1
#define AMX __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512bf16,amx-tile,amx-bf16")))

static uint8_t magnitudes[2][128]; /* lower and upper bytes of the bfloat16 of 0 … 127 */

static void learn_magnitudes(void)
{
    for (int n = 0; n < 128; n++) {
        const float value = (float)n;
        uint32_t bits;
        memcpy(&bits, &value, 4);
        magnitudes[0][n] = (uint8_t)(bits >> 16);
        magnitudes[1][n] = (uint8_t)(bits >> 24);
    }
}

int rwc_amx_ready(void)
{
    learn_magnitudes();
    enum { ASK = 0x1023, TILE_DATA = 18 }; /* arch_prctl: a process must ask for tiles */
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1) || !(b >> 16 & 1) || !(c >> 1 & 1))
        return 0;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1))
        return 0;
    return syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
}

typedef struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tile_shapes;

/* Tiles 0 – 3 sums, 4 and 5 input, 6 and 7 weights. */
AMX static void shape_tiles(int upper, int lower)
{
    tile_shapes s = {.palette = 1};
    const int rows[8] = {upper, upper, lower, lower, upper, lower, TILE, TILE};
    for (int n = 0; n < 8; n++) {
        s.rows[n] = rows[n] ? rows[n] : 1;
        s.bytes[n] = 64;
    }
    _tile_loadconfig(&s);
}

AMX static inline void ask_for(const char *w, int bytes)
{
    for (int n = 0; n < bytes; n += 64)
        _mm_prefetch(w + n, _MM_HINT_T1);
}

/* Weights of 8 bits as bfloat16: of one step, and of the next while that is multiplied. */
typedef struct {
    _Alignas(64) uint16_t w[2][STEP];
    const char *next; /* what lies, widened, in w[turn] */
    int turn;
} widened_steps;

AMX static inline void widen_next(widened_steps *s, const char *w)
{
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    const __m512i uppers[2] = {_mm512_loadu_si512(magnitudes[1]), _mm512_loadu_si512(magnitudes[1] + 64)};
    const __m512i lowers[2] = {_mm512_loadu_si512(magnitudes[0]), _mm512_loadu_si512(magnitudes[0] + 64)};
    uint16_t *to = s->w[s->turn];
    s->next = w;
    for (int n = 0; n < STEP; n += 64) {
        const __m512i x = _mm512_loadu_si512(w + n);
        const __m512i upper = _mm512_permutex2var_epi8(uppers[0], x, uppers[1]);
        const __m512i lower = _mm512_permutex2var_epi8(lowers[0], x, lowers[1]);
        const __m512i signed_upper = _mm512_ternarylogic_epi64(upper, x, sign, 0xf8); /* upper | (x & sign) */
        _mm512_store_si512(to + n, _mm512_unpacklo_epi8(lower, signed_upper));
        _mm512_store_si512(to + n + 32, _mm512_unpackhi_epi8(lower, signed_upper));
    }
}

/* What one call of `multiply` goes through: of one block of columns some taps and channels, as the weights lie. */
typedef struct {
    const char *w, *then; /* the weights, and those that are needed after them */
    int64_t tap, taps, channel, channels; /* from, and one behind the last */
} stretch;

/* One block of at most 32 rows and 32 columns; x: what the first row's first tap sees. `more`: added to `sums`. */
AMX static void multiply(const rwc_layer *l, const stretch *s, const uint16_t *x, int upper, int lower, int more,
                         widened_steps *wide, float *sums)
{
    const int bytes = l->scale ? STEP : STEP * 2;
    const char *w = s->w, *end = w + (s->taps - s->tap) * (s->channels - s->channel) / BLOCK * bytes;
    const char *behind = (const char *)l->w + l->out / BLOCK * l->taps * (l->in / BLOCK) * bytes;
    const int64_t row = l->stride * l->pitch * 2;
    if (more) {
        _tile_loadd(0, sums, BLOCK * 4);
        _tile_loadd(1, sums + TILE, BLOCK * 4);
        _tile_loadd(2, sums + upper * BLOCK, BLOCK * 4);
        _tile_loadd(3, sums + upper * BLOCK + TILE, BLOCK * 4);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
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
            _tile_stream_loadd(6, now, 64);
            _tile_stream_loadd(7, now + STEP / 2, 64);
            _tile_loadd(4, at + c, row);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            if (lower) {
                _tile_loadd(5, at + c + upper * l->stride * l->pitch, row);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
    }
    _tile_stored(0, sums, BLOCK * 4);
    _tile_stored(1, sums + TILE, BLOCK * 4);
    if (lower) {
        _tile_stored(2, sums + upper * BLOCK, BLOCK * 4);
        _tile_stored(3, sums + upper * BLOCK + TILE, BLOCK * 4);
    }
}

AMX static inline __m512 exponential(__m512 x)
{
    const __m512 turns = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f));
    const __m512 whole = _mm512_roundscale_ps(turns, 0);
    const __m512 f = _mm512_mul_ps(_mm512_sub_ps(turns, whole), _mm512_set1_ps(0.693147181f));
    __m512 y = _mm512_set1_ps(1 / 120.f);
    const float taylor[] = {1 / 24.f, 1 / 6.f, 1 / 2.f, 1, 1};
    for (int n = 0; n < 5; n++)
        y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(taylor[n]));
    return _mm512_scalef_ps(y, whole);
}

AMX static inline __m512 sigmoid(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1), away = _mm512_sub_ps(_mm512_setzero_ps(), x);
    return _mm512_div_ps(one, _mm512_add_ps(one, exponential(_mm512_min_ps(away, _mm512_set1_ps(80)))));
}

/* x/2 (1 + erf(x/√2)), erf within 1.5e-7: Abramowitz and Stegun, 7.1.26. */
AMX static inline __m512 gelu(__m512 x)
{
    const __m512 z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.707106781f));
    const __m512 t = _mm512_div_ps(_mm512_set1_ps(1), _mm512_fmadd_ps(z, _mm512_set1_ps(0.3275911f), _mm512_set1_ps(1)));
    __m512 y = _mm512_set1_ps(1.061405429f);
    const float series[] = {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f, 0};
    for (int n = 0; n < 5; n++)
        y = _mm512_fmadd_ps(y, t, _mm512_set1_ps(series[n]));
    y = _mm512_mul_ps(y, exponential(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(z, z)))); /* 1 - erf(z) */
    const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
    const __m512 twice = _mm512_mask_blend_ps(negative, _mm512_sub_ps(_mm512_set1_ps(2), y), y);
    return _mm512_mul_ps(_mm512_mul_ps(x, _mm512_set1_ps(0.5f)), twice);
}

AMX static inline __m512 activated(int act, float slope, __m512 y)
{
    const __m512 zero = _mm512_setzero_ps();
    switch (act) {
    case RWC_RELU:
        return _mm512_max_ps(y, zero);
    case RWC_LEAKY:
        return _mm512_max_ps(y, _mm512_mul_ps(y, _mm512_set1_ps(slope)));
    case RWC_GELU:
        return gelu(y);
    default:
        return y;
    }
}

AMX static inline __m512 widened(const uint16_t *x)
{
    const __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}

AMX static inline void store(uint16_t *to, __m512 y)
{
    _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(y));
}

AMX static void finish(const product *p, const float *sums, int64_t row, int rows, int64_t column)
{
    __m512 bias[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()}, scale[2] = {_mm512_set1_ps(1), _mm512_set1_ps(1)};
    for (int half = 0; half < 2; half++) {
        if (p->layer->bias)
            bias[half] = _mm512_loadu_ps(p->layer->bias + column + half * TILE);
        if (p->layer->scale)
            scale[half] = _mm512_loadu_ps(p->layer->scale + column + half * TILE);
    }
    for (int r = 0; r < rows; r++) {
        const int64_t at = (row + r) * p->layer->out + column;
        for (int half = 0; half < 2; half++) {
            __m512 y = _mm512_fmadd_ps(_mm512_loadu_ps(sums + r * BLOCK + half * TILE), scale[half], bias[half]);
            y = activated(p->act, p->slope, y);
            if (p->add)
                y = _mm512_add_ps(y, widened(p->add + at + half * TILE));
            store(p->y + at + half * TILE, y);
            if (p->leaky)
                store(p->leaky + at + half * TILE, activated(RWC_LEAKY, p->slope, y));
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
AMX static int64_t run_by_channels(const product *p, const uint16_t *x, int64_t row, int upper, int lower, int64_t column,
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
AMX static void run_part(const product *p, int64_t row, int64_t end, int64_t column, int64_t last)
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
    shape_tiles(upper, rows - upper);
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
    _tile_release();
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

void rwc_amx_run(const rwc_layer *l, uintptr_t x, int64_t rows_in, uintptr_t y, int64_t rows, uintptr_t add,
                 uintptr_t leaky, int act, float slope, int threads, const rwc_thread_pool *pool)
{
    product p = {l, (void *)x, (void *)add, (void *)y, (void *)leaky, rows_in, rows, act, slope};
    in_thread_pool(pool, threads, run, &p);
}

#else

int rwc_amx_ready(void) { return 0; }

void rwc_amx_run(const rwc_layer *l, uintptr_t x, int64_t rows_in, uintptr_t y, int64_t rows, uintptr_t add,
                 uintptr_t leaky, int act, float slope, int threads, const rwc_thread_pool *pool) {}

#endif
