#include "base/wipe.h"

#include <string.h>  // explicit_bzero

namespace thaw {

void secure_wipe(std::span<std::byte> bytes) { explicit_bzero(bytes.data(), bytes.size()); }

[[gnu::noinline]] void wipe_stack() {
  std::byte below[kWipedStackBytes];
  secure_wipe(below);
}

}  // namespace thaw
