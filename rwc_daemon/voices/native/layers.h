/* What Python and every instruction set share: layers as they lie in memory, and the table of one instruction set's
   routines. Signals are rows of channels in bfloat16.

   Weights: [out / 32][tap][in / 32][half][16 pairs][16 columns][2], the last dimension being two neighbouring channels.
   Or, where a layer has scales, whole numbers of 8 bits (sign and magnitude) in units of their column's: half as much to
   read, and exact in bfloat16. There 16 bytes of one pair of rows and 16 of the next lie in turns, as they are unpacked.
*/

#ifndef RWC_LAYERS_H
#define RWC_LAYERS_H

#include <stdint.h>

enum { RWC_PLAIN, RWC_RELU, RWC_LEAKY, RWC_GELU };
enum { TILE = 16, BLOCK = 32, STEP = 2 * TILE * TILE * 2 }; /* rows of a tile; columns at once; weights of one step */
enum { SCRATCH = 1 << 18 };                                 /* bytes of input that a block of rows may see */

typedef struct rwc_isa rwc_isa;

typedef struct { /* one linear layer or convolution */
    const rwc_isa *isa; /* whose routines run it */
    const void *w;
    const float *scale;  /* [out]: w is 8 bits wide; or NULL */
    const float *bias;   /* [out] or NULL */
    const int32_t *span; /* [out / 32, 2]: the first tap of these columns that is not 0, and one behind the last; or NULL */
    int64_t in, out, taps, stride, dilation, padding;
    int64_t pitch; /* from one row of x to the next: `in`, or what overlapping rows of a layer without padding are apart */
} rwc_layer;

typedef struct { /* one layer of a transformer: encoder.c */
    const rwc_layer *qkv, *out, *up, *down;
    const float *norm[4];  /* scale and shift of both norms, [width] each */
    const float *near_key; /* [2 * reach + 1, channels of a head], or NULL; the same of values */
    const float *near_value;
    int64_t heads, reach;
    int act;
} rwc_encoder;

typedef struct { /* the residual blocks of one stage of a decoder: blocks.c */
    const rwc_layer *const *layers; /* [blocks][steps][convolutions] */
    int64_t blocks, steps, convolutions;
    float slope; /* of leaky ReLUs within */
} rwc_blocks;

typedef struct { /* the convolution module of a conformer: conformer.c */
    const rwc_layer *up, *down;
    const float *norm[2]; /* scale and shift */
    const float *taps;    /* [kernel, inner] */
    const float *bias;    /* [inner] */
    int64_t kernel;
} rwc_conformer;

enum { MOST_GATED = 8 }; /* layers of a coupling's net */

typedef struct { /* of a flow: couplings.c */
    const rwc_layer *pre, *in[MOST_GATED], *onward[MOST_GATED], *post;
} rwc_coupling;

typedef struct {
    const rwc_coupling *couplings; /* in the order in which they run */
    int64_t count, layers;
} rwc_flow;

typedef struct { /* of the OpenMP runtime that torch has loaded: a second one would be in its way */
    void *parallel, *number, *count, *barrier;
} rwc_thread_pool;

typedef struct { /* one layer at work */
    const rwc_layer *layer;
    const uint16_t *x;   /* [rows_in, in], rows `pitch` apart */
    const uint16_t *add; /* [rows, out] or NULL */
    uint16_t *y;         /* [rows, out] */
    uint16_t *leaky;     /* [rows, out]: leaky ReLU of y, or NULL */
    int64_t rows_in, rows;
    int act;
    float slope; /* of leaky ReLUs, at most 1 */
} product;

/* The routines of one instruction set. All of them are compiled from the same loops (routines.h). */
struct rwc_isa {
    const char *name;
    int (*ready)(void); /* whether this CPU has it and the system lets the process use it */
    void (*run)(const product *p, int threads, const rwc_thread_pool *pool);
    void (*encode)(const rwc_encoder *e, uint16_t *x, int64_t rows, uint16_t *scratch, int threads,
                   const rwc_thread_pool *pool);
    void (*blocks)(const rwc_blocks *b, const uint16_t *x, uint16_t *y, int64_t rows, float slope, uint16_t *scratch,
                   int threads, const rwc_thread_pool *pool);
    void (*conform)(const rwc_conformer *f, const uint16_t *x, uint16_t *y, int64_t rows, uint16_t *scratch, int threads,
                    const rwc_thread_pool *pool);
    void (*flow)(const rwc_flow *f, uint16_t *x, const float *conditions, int64_t rows, uint16_t *scratch, int threads,
                 const rwc_thread_pool *pool);
};

extern const rwc_isa *const rwc_isa_amx; /* NULL where the compiler does not know it */
extern const rwc_isa *const rwc_isa_portable;

/* Limits and memory of fused layers; the same for every instruction set. */
enum { MOST_ROWS = 256, MOST_WIDTH = 128, MOST_REACH = 15 }; /* of attention; channels of a head */
enum { WITHIN = 6 }; /* signals that residual blocks need beside their results */

#endif
