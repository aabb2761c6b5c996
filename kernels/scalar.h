// The scalar set: ARITHMETIC.md in plain loops. The oracle that every other set must equal to the
// bit, so it shares no code with them; runs on every machine.
#pragma once

#include "kernels/kernels.h"

namespace thaw::kernels {

const KernelSet& scalar_set();

}  // namespace thaw::kernels
