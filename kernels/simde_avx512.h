// The AVX-512 set on a processor without AVX-512: avx512.cc compiled through SIMDe, so that its
// lines are tested wherever there is AVX2. For tests alone; far too slow for anything else.
#pragma once

#include "kernels/kernels.h"

namespace thaw::kernels {

// Named "avx512-simde". Needs AVX2, FMA and F16C.
const KernelSet& simde_avx512_set();

}  // namespace thaw::kernels
