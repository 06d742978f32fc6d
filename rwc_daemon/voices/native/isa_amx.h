/* The operations of routines.h with AVX-512 and a CPU's matrix unit (AMX): vectors of 16 floats, tiles of 16 rows. */

#include <cpuid.h>
#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "layers.h"

#define ISA_NAME "amx"
#define ISA_TABLE rwc_isa_amx
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512bf16,amx-tile,amx-bf16")))
#define INLINE TARGET static inline

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

static int isa_ready(void)
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

/* ---- vectors ---- */

typedef __m512 vec;

INLINE vec v_load(const float *x) { return _mm512_loadu_ps(x); }
INLINE void v_put(float *to, vec x) { _mm512_storeu_ps(to, x); }
INLINE vec v_all(float x) { return _mm512_set1_ps(x); }
INLINE vec v_zero(void) { return _mm512_setzero_ps(); }
INLINE vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
INLINE vec v_mul_add(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vec v_mul_sub(vec a, vec b, vec c) { return _mm512_fmsub_ps(a, b, c); }
INLINE vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
INLINE vec v_abs(vec x) { return _mm512_abs_ps(x); }
INLINE vec v_round(vec x) { return _mm512_roundscale_ps(x, 0); } /* to the nearest whole number */
INLINE vec v_scale(vec x, vec power) { return _mm512_scalef_ps(x, power); } /* x * 2 ** power, a whole number */
INLINE float v_sum(vec x) { return _mm512_reduce_add_ps(x); }
INLINE float v_greatest(vec x) { return _mm512_reduce_max_ps(x); }

/* `x` in its first `count` places, else 0. */
INLINE vec v_first(int64_t count, vec x)
{
    return _mm512_maskz_mov_ps(count >= TILE ? 0xffff : (__mmask16)((1 << count) - 1), x);
}

/* Where x is negative `a`, else `b`. */
INLINE vec v_if_negative(vec x, vec a, vec b)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), b, a);
}

INLINE vec v_reverse(vec x)
{
    const __m512i order = _mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_permutexvar_ps(order, x);
}

INLINE vec v_widen(const uint16_t *x) /* from bfloat16 */
{
    const __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}

INLINE void v_narrow(uint16_t *to, vec y) /* to bfloat16, to the nearest, ties to even */
{
    _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(y));
}

/* sum + the products of a pair of bfloat16 with 16 pairs. */
INLINE vec v_pairs(vec sum, uint32_t pair, const uint32_t *row)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32((int)pair), (__m512bh)_mm512_loadu_si512(row));
}

/* ---- tiles: 0 – 3 sums, 4 and 5 input, 6 and 7 weights ---- */

typedef struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tile_shapes;

TARGET static void tiles_begin(int upper, int lower)
{
    tile_shapes s = {.palette = 1};
    const int rows[8] = {upper, upper, lower, lower, upper, lower, TILE, TILE};
    for (int n = 0; n < 8; n++) {
        s.rows[n] = rows[n] ? rows[n] : 1;
        s.bytes[n] = 64;
    }
    _tile_loadconfig(&s);
}

INLINE void tiles_end(void) { _tile_release(); }

INLINE void ask_for(const char *w, int bytes)
{
    for (int n = 0; n < bytes; n += 64)
        _mm_prefetch(w + n, _MM_HINT_T1);
}

/* `sums` [rows, BLOCK]; `more`: they are gone on with, else they begin at 0. */
INLINE void sums_begin(float *sums, int upper, int lower, int more)
{
    (void)lower;
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
}

/* One step of weights with BLOCK channels of upper + lower rows of x, `row` values apart, to the sums. */
INLINE void sums_add(float *sums, const uint16_t *w, const uint16_t *x, int64_t row, int upper, int lower)
{
    (void)sums;
    _tile_stream_loadd(6, w, 64);
    _tile_stream_loadd(7, w + STEP / 2, 64);
    _tile_loadd(4, x, row * 2);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (lower) {
        _tile_loadd(5, x + upper * row, row * 2);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}

INLINE void sums_end(float *sums, int upper, int lower)
{
    _tile_stored(0, sums, BLOCK * 4);
    _tile_stored(1, sums + TILE, BLOCK * 4);
    if (lower) {
        _tile_stored(2, sums + upper * BLOCK, BLOCK * 4);
        _tile_stored(3, sums + upper * BLOCK + TILE, BLOCK * 4);
    }
}

/* One step of weights of 8 bits as bfloat16. */
INLINE void widen_step(uint16_t *to, const char *w)
{
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    const __m512i uppers[2] = {_mm512_loadu_si512(magnitudes[1]), _mm512_loadu_si512(magnitudes[1] + 64)};
    const __m512i lowers[2] = {_mm512_loadu_si512(magnitudes[0]), _mm512_loadu_si512(magnitudes[0] + 64)};
    for (int n = 0; n < STEP; n += 64) {
        const __m512i x = _mm512_loadu_si512(w + n);
        const __m512i upper = _mm512_permutex2var_epi8(uppers[0], x, uppers[1]);
        const __m512i lower = _mm512_permutex2var_epi8(lowers[0], x, lowers[1]);
        const __m512i signed_upper = _mm512_ternarylogic_epi64(upper, x, sign, 0xf8); /* upper | (x & sign) */
        _mm512_store_si512(to + n, _mm512_unpacklo_epi8(lower, signed_upper));
        _mm512_store_si512(to + n + 32, _mm512_unpackhi_epi8(lower, signed_upper));
    }
}
