/* The operations of routines.h in plain C, for every CPU: vectors of 16 floats by the compiler's vector extension (GCC,
   clang), tiles as loops over rows. Rounding to bfloat16 is the matrix unit's; only the order of sums differs. */

#include <stdint.h>
#include <string.h>

#include "layers.h"

#define ISA_NAME "portable"
#define ISA_TABLE rwc_isa_portable
#define TARGET
#define INLINE static inline

static int isa_ready(void) { return 1; }

/* ---- vectors ---- */

typedef float vec __attribute__((vector_size(4 * TILE)));
typedef int32_t bits __attribute__((vector_size(4 * TILE)));
typedef uint32_t ubits __attribute__((vector_size(4 * TILE)));
typedef uint16_t halves __attribute__((vector_size(2 * TILE)));

INLINE vec v_load(const float *x)
{
    vec y;
    memcpy(&y, x, sizeof y);
    return y;
}

INLINE void v_put(float *to, vec x) { memcpy(to, &x, sizeof x); }
INLINE vec v_all(float x) { return (vec){} + x; }
INLINE vec v_zero(void) { return (vec){}; }
INLINE vec v_select(bits where, vec a, vec b) { return (vec)((where & (bits)a) | (~where & (bits)b)); }
INLINE vec v_add(vec a, vec b) { return a + b; }
INLINE vec v_sub(vec a, vec b) { return a - b; }
INLINE vec v_mul(vec a, vec b) { return a * b; }
INLINE vec v_div(vec a, vec b) { return a / b; }
INLINE vec v_mul_add(vec a, vec b, vec c) { return a * b + c; }
INLINE vec v_mul_sub(vec a, vec b, vec c) { return a * b - c; }
INLINE vec v_max(vec a, vec b) { return v_select(a > b, a, b); }
INLINE vec v_min(vec a, vec b) { return v_select(a < b, a, b); }
INLINE vec v_abs(vec x) { return (vec)((bits)x & 0x7fffffff); }

INLINE vec v_round(vec x) /* to the nearest whole number */
{
    const vec turn = v_all(0x1.8p23f); /* beyond it floats are whole numbers */
    return v_select(v_abs(x) < v_all(0x1p22f), x + turn - turn, x);
}

INLINE vec v_scale(vec x, vec power) /* x * 2 ** power, a whole number; 0 where that is too small for a normal number */
{
    const vec within = v_min(v_max(power, v_all(-127)), v_all(127));
    return x * (vec)((__builtin_convertvector(within, bits) + 127) << 23);
}

INLINE float v_sum(vec x)
{
    float sum = 0;
    for (int n = 0; n < TILE; n++)
        sum += x[n];
    return sum;
}

INLINE float v_greatest(vec x)
{
    float most = x[0];
    for (int n = 1; n < TILE; n++)
        most = x[n] > most ? x[n] : most;
    return most;
}

/* `x` in its first `count` places, else 0. */
INLINE vec v_first(int64_t count, vec x)
{
    for (int64_t n = count; n < TILE; n++)
        x[n] = 0;
    return x;
}

/* Where x is negative `a`, else `b`. */
INLINE vec v_if_negative(vec x, vec a, vec b) { return v_select(x < v_zero(), a, b); }

INLINE vec v_reverse(vec x)
{
    vec y;
    for (int n = 0; n < TILE; n++)
        y[n] = x[TILE - 1 - n];
    return y;
}

INLINE vec v_widen(const uint16_t *x) /* from bfloat16 */
{
    halves narrow;
    memcpy(&narrow, x, sizeof narrow);
    return (vec)(__builtin_convertvector(narrow, ubits) << 16);
}

/* To bfloat16, to the nearest, ties to even; as the matrix unit does it: numbers below the normal ones become 0. */
INLINE void v_narrow(uint16_t *to, vec y)
{
    const ubits x = (ubits)y, magnitude = x & 0x7fffffff, sign = x & 0x80000000;
    const ubits rounded = (x + 0x7fff + ((x >> 16) & 1)) >> 16, quiet = (x >> 16) | 0x40;
    const ubits nan = (ubits)(magnitude > 0x7f800000), tiny = (ubits)(magnitude < 0x00800000);
    const ubits whole = (nan & quiet) | (tiny & (sign >> 16)) | (~nan & ~tiny & rounded);
    const halves narrow = __builtin_convertvector(whole, halves);
    memcpy(to, &narrow, sizeof narrow);
}

/* The two bfloat16 of each of 16 pairs. */
INLINE vec even_of(ubits pairs) { return (vec)(pairs << 16); }
INLINE vec odd_of(ubits pairs) { return (vec)(pairs & 0xffff0000); }

/* sum + the products of a pair of bfloat16 with 16 pairs. */
INLINE vec v_pairs(vec sum, uint32_t pair, const uint32_t *row)
{
    ubits pairs;
    memcpy(&pairs, row, sizeof pairs);
    const ubits one = (ubits){} + pair;
    return sum + even_of(one) * even_of(pairs) + odd_of(one) * odd_of(pairs);
}

/* ---- tiles ---- */

INLINE void tiles_begin(int upper, int lower) { (void)upper, (void)lower; }
INLINE void tiles_end(void) {}

INLINE void ask_for(const char *w, int bytes)
{
    for (int n = 0; n < bytes; n += 64)
        __builtin_prefetch(w + n, 0, 2);
}

/* `sums` [rows, BLOCK]; `more`: they are gone on with, else they begin at 0. */
INLINE void sums_begin(float *sums, int upper, int lower, int more)
{
    if (!more)
        memset(sums, 0, sizeof(float) * BLOCK * (size_t)(upper + lower));
}

/* One step of weights with BLOCK channels of upper + lower rows of x, `row` values apart, to the sums. */
INLINE void sums_add(float *sums, const uint16_t *w, const uint16_t *x, int64_t row, int upper, int lower)
{
    for (int half = 0; half < 2; half++)
        for (int r = 0; r < upper + lower; r++) {
            float *to = sums + r * BLOCK + half * TILE;
            vec sum = v_load(to);
            for (int p = 0; p < TILE; p++) {
                uint32_t pair, pairs[TILE];
                memcpy(&pair, x + r * row + 2 * p, sizeof pair);
                memcpy(pairs, w + half * (STEP / 2) + p * BLOCK, sizeof pairs);
                sum = v_pairs(sum, pair, pairs);
            }
            v_put(to, sum);
        }
}

INLINE void sums_end(float *sums, int upper, int lower) { (void)sums, (void)upper, (void)lower; }

static inline uint16_t narrow_whole(int n) /* 0 … 127, exact in bfloat16 */
{
    const float value = (float)n;
    uint32_t x;
    memcpy(&x, &value, sizeof x);
    return (uint16_t)(x >> 16);
}

/* One step of weights of 8 bits as bfloat16: each 16 bytes are 8 of one pair of rows and 8 of the next. */
INLINE void widen_step(uint16_t *to, const char *w)
{
    const uint8_t *x = (const uint8_t *)w;
    for (int n = 0; n < STEP; n += 64)
        for (int lane = 0; lane < 4; lane++)
            for (int k = 0; k < TILE; k++) {
                const uint8_t one = x[n + lane * TILE + k];
                to[n + k / 8 * 32 + lane * 8 + k % 8] = narrow_whole(one & 127) | (uint16_t)((one & 128) << 8);
            }
}
