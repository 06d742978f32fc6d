/* What Python calls: sizes, limits, and each routine by the instruction set that a layer was made for. */

#include <string.h>

#include "layers.h"

/* The instruction set of this name, or NULL where this build has none. */
const rwc_isa *rwc_isa_named(const char *name)
{
    const rwc_isa *const known[] = {rwc_isa_amx, rwc_isa_portable};
    for (unsigned n = 0; n < sizeof known / sizeof *known; n++)
        if (known[n] && !strcmp(known[n]->name, name))
            return known[n];
    return NULL;
}

int rwc_isa_ready(const rwc_isa *isa) { return isa && isa->ready(); }

/* Whether a layer can run so. */
int rwc_layer_fits(const rwc_layer *l)
{
    const int64_t seen = (BLOCK - 1) * l->stride + (l->taps - 1) * l->dilation + 1;
    if (l->in % BLOCK || l->out % BLOCK)
        return 0;
    return l->padding == 0 || (l->pitch == l->in && seen * l->in * 2 <= SCRATCH);
}

void rwc_layer_run(const rwc_layer *l, uintptr_t x, int64_t rows_in, uintptr_t y, int64_t rows, uintptr_t add,
                   uintptr_t leaky, int act, float slope, int threads, const rwc_thread_pool *pool)
{
    const product p = {l, (void *)x, (void *)add, (void *)y, (void *)leaky, rows_in, rows, act, slope};
    l->isa->run(&p, threads, pool);
}

/* Scratch: values of 16 bits that a call needs beside x and y. */

int64_t rwc_encoder_scratch(const rwc_encoder *e, int64_t rows) { return rows * (5 * e->qkv->in + e->up->out); }

/* Whether attention of this size can run so. */
int rwc_encoder_fits(int64_t width, int64_t heads, int64_t reach)
{
    return width % heads == 0 && width / heads % TILE == 0 && width / heads <= MOST_WIDTH && reach <= MOST_REACH;
}

int rwc_encoder_most_rows(void) { return MOST_ROWS; }

void rwc_encoder_run(const rwc_encoder *e, uintptr_t x, int64_t rows, uintptr_t scratch, int threads,
                     const rwc_thread_pool *pool)
{
    e->qkv->isa->encode(e, (void *)x, rows, (void *)scratch, threads, pool);
}

int64_t rwc_blocks_scratch(const rwc_blocks *b, int64_t rows)
{
    return rows * b->layers[0]->out * (WITHIN + b->blocks);
}

void rwc_blocks_run(const rwc_blocks *b, uintptr_t x, uintptr_t y, int64_t rows, float slope, uintptr_t scratch,
                    int threads, const rwc_thread_pool *pool)
{
    b->layers[0]->isa->blocks(b, (void *)x, (void *)y, rows, slope, (void *)scratch, threads, pool);
}

int64_t rwc_conformer_scratch(const rwc_conformer *f, int64_t rows) { return rows * (f->up->in + 5 * f->down->in); }

void rwc_conformer_run(const rwc_conformer *f, uintptr_t x, uintptr_t y, int64_t rows, uintptr_t scratch, int threads,
                       const rwc_thread_pool *pool)
{
    f->up->isa->conform(f, (void *)x, (void *)y, rows, (void *)scratch, threads, pool);
}

int rwc_flow_most_gated(void) { return MOST_GATED; }

int64_t rwc_flow_scratch(const rwc_flow *f, int64_t rows)
{
    return rows * (5 * f->couplings->pre->in + 7 * f->couplings->pre->out);
}

void rwc_flow_run(const rwc_flow *f, uintptr_t x, uintptr_t conditions, int64_t rows, uintptr_t scratch, int threads,
                  const rwc_thread_pool *pool)
{
    f->couplings->pre->isa->flow(f, (void *)x, (void *)conditions, rows, (void *)scratch, threads, pool);
}
