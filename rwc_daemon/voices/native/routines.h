/* The routines of one instruction set: the same loops for all, compiled over the vectors and tiles of isa_….h. */

#include <math.h>
#include <stdint.h>
#include <string.h>

/* clang-format off: in this order */
#include "products.c"
#include "encoder.c"
#include "blocks.c"
#include "conformer.c"
#include "couplings.c"

static const rwc_isa this_isa = {
    .name = ISA_NAME,
    .ready = isa_ready,
    .run = run_alone,
    .encode = run_encoder,
    .blocks = run_stage,
    .conform = run_conformer,
    .flow = run_couplings,
};

const rwc_isa *const ISA_TABLE = &this_isa;
