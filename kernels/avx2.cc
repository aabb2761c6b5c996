// The AVX2 set: AVX2, FMA and F16C, no VNNI.
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

THAW_TARGET_BEGIN("avx2,fma,f16c")

// Each uses what stands before it.
// clang-format off
#include "kernels/lanes_avx2.h"
#include "kernels/groups_avx2-inl.h"
#include "kernels/products_avx2-inl.h"
#include "kernels/generic-inl.h"
// clang-format on

THAW_TARGET_END

}  // namespace

const KernelSet& avx2_set() {
  static constexpr KernelSet kSet = make_set("avx2");
  return kSet;
}

}  // namespace thaw::kernels
