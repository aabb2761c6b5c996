// The AVX-512 set: F, BW, DQ, VL and VNNI. Also compiled through SIMDe (simde_avx512.cc), so that
// machines without AVX-512 test these same lines.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "kernels/kernels.h"
#include "kernels/sets.h"
#include "kernels/target.h"

#include <immintrin.h>

// gcc 12 warns of its own headers here (its bug 105593).
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

namespace thaw::kernels {
namespace {

THAW_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

// Each uses what stands before it.
// clang-format off
#include "kernels/lanes_avx512.h"
#include "kernels/products_avx512-inl.h"
#include "kernels/generic-inl.h"
// clang-format on

THAW_TARGET_END

}  // namespace

const KernelSet& avx512_set() {
  static constexpr KernelSet kSet = make_set("avx512");
  return kSet;
}

}  // namespace thaw::kernels
