// The neon-i8mm set: NEON with dot products and 8-bit matrix products (sdot, smmla).
#include <arm_neon.h>

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

THAW_TARGET_BEGIN("arch=armv8.2-a+dotprod+i8mm")

inline constexpr bool kMatrixProducts = true;

// Each uses what stands before it.
// clang-format off
#include "kernels/lanes_neon.h"
#include "kernels/products_neon-inl.h"
#include "kernels/generic-inl.h"
// clang-format on

THAW_TARGET_END

}  // namespace

const KernelSet& neon_i8mm_set() {
  static constexpr KernelSet kSet = make_set("neon-i8mm");
  return kSet;
}

}  // namespace thaw::kernels
