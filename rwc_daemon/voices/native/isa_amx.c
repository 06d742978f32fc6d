/* A CPU's matrix unit, where the compiler knows it. */

#include "layers.h"

#if defined(__x86_64__) && defined(__linux__) && (__GNUC__ >= 11 || __clang_major__ >= 12)
#include "isa_amx.h"

#include "routines.h"
#else
const rwc_isa *const rwc_isa_amx = 0;
#endif
