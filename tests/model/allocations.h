// Counts this thread's allocations, for tests of what must not allocate. Linked in, it takes the
// place of operator new.
#pragma once

#include <cstdint>

namespace thaw {

std::uint64_t allocations();  // of this thread, so far

}  // namespace thaw
