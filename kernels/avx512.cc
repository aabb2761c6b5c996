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

#if defined(THAW_SIMDE)
#include "kernels/simde_avx512_shim.h"
// Compiled without a region, and without what would take minutes where an intrinsic is a function.
#undef THAW_TARGET_BEGIN
#undef THAW_TARGET_END
#undef THAW_UNROLL
#undef THAW_INLINE
#define THAW_UNROLL
#define THAW_INLINE inline
#define THAW_TARGET_BEGIN(features)
#define THAW_TARGET_END
#else
#include <immintrin.h>
#endif

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

#if defined(THAW_SIMDE)
const KernelSet& simde_avx512_set() {
  static constexpr KernelSet kSet = make_set("avx512-simde");
  return kSet;
}
#else
const KernelSet& avx512_set() {
  static constexpr KernelSet kSet = make_set("avx512");
  return kSet;
}
#endif

}  // namespace thaw::kernels
