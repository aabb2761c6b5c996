// avx512.cc through SIMDe, under another name.
#include "kernels/emulated.h"

#define THAW_SIMDE
#include "kernels/avx512.cc"  // NOLINT: the point is to compile the same lines
