// avx2_vnni.cc on AVX2 alone, under another name.
#include "kernels/emulated.h"
#include "kernels/emulated_vnni.h"

#define THAW_EMULATED_VNNI
#define _mm256_dpbusd_avx_epi32(sums, u, s) ::thaw::kernels::emulated::dpbusd(sums, u, s)
#include "kernels/avx2_vnni.cc"  // NOLINT: the point is to compile the same lines
