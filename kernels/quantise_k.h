// The searches for the kinds whose scales are themselves coded, in super-blocks of 256. For
// quantise.cc alone.
#pragma once

#include "kernels/pack_planes.h"
#include "kernels/quantise_fit.h"

namespace thaw::kernels {

// q4k (high = 15) and q5k (high = 31).
//   values [256]
BlockPlanes quantise_with_sub_minimum(Values values, double high);

// q6k.
//   values [256]
BlockPlanes quantise_q6k(Values values);

}  // namespace thaw::kernels
