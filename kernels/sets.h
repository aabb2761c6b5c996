// The tables of the instruction sets that this architecture may have. Taking a table is safe on any
// machine of the architecture; calling through it only where dispatch.cc says so.
#pragma once

#include "kernels/kernels.h"

namespace thaw::kernels {

#if defined(__x86_64__)
const KernelSet& avx2_set();       // AVX2, FMA, F16C
const KernelSet& avx2_vnni_set();  // and AVX-VNNI
const KernelSet& avx512_set();     // AVX-512 F, BW, DQ, VL and VNNI
#elif defined(__aarch64__)
const KernelSet& neon_set();       // dot products (sdot)
const KernelSet& neon_i8mm_set();  // and 8-bit matrix products (smmla)
#endif

}  // namespace thaw::kernels
