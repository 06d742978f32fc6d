/* Every CPU. */

#include "isa_portable.h"

#include "routines.h"
