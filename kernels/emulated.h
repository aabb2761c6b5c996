// Sets on a processor without their instructions: the same sources, compiled with these made of
// AVX2's, so that their lines are tested wherever there is AVX2. For tests alone; far too slow for
// anything else.
#pragma once

#include <array>

#include "kernels/kernels.h"

namespace thaw::kernels {

// Each needs AVX2, FMA and F16C.
const KernelSet& simde_avx512_set();        // "avx512-simde": avx512.cc through SIMDe
const KernelSet& emulated_avx2_vnni_set();  // "avx2-vnni-emulated": avx2_vnni.cc

inline std::array<const KernelSet*, 2> emulated_sets() {
  return {&simde_avx512_set(), &emulated_avx2_vnni_set()};
}

}  // namespace thaw::kernels
