// The AVX2 set with AVX-VNNI (vpdpbusd in its VEX form): processors without AVX-512, or with it
// turned off. Also compiled with that instruction made of AVX2's (emulated_avx2_vnni.cc), so that
// machines without it test these same lines.
#include <immintrin.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "kernels/kernels.h"
#include "kernels/sets.h"
#include "kernels/target.h"

namespace thaw::kernels {
namespace {

#if defined(THAW_EMULATED_VNNI)
THAW_TARGET_BEGIN("avx2,fma,f16c")
#else
THAW_TARGET_BEGIN("avx2,fma,f16c,avxvnni")
#endif

// Each uses what stands before it.
// clang-format off
#include "kernels/lanes_avx2.h"
#include "kernels/groups_avx2-inl.h"
#include "kernels/products_avx2_vnni-inl.h"
#include "kernels/generic-inl.h"
// clang-format on

THAW_TARGET_END

}  // namespace

#if defined(THAW_EMULATED_VNNI)
const KernelSet& emulated_avx2_vnni_set() {
  static constexpr KernelSet kSet = make_set("avx2-vnni-emulated");
  return kSet;
}
#else
const KernelSet& avx2_vnni_set() {
  static constexpr KernelSet kSet = make_set("avx2-vnni");
  return kSet;
}
#endif

}  // namespace thaw::kernels
