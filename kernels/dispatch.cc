#include <array>
#include <string>

#include "kernels/kernels.h"
#include "kernels/scalar.h"

namespace thaw::kernels {

std::span<const KernelSet* const> available() {
  static const std::array<const KernelSet*, 1> kSets = {&scalar_set()};
  return kSets;
}

Result<const KernelSet*> select(std::string_view name) {
  if (name.empty()) return available().front();
  std::string names;
  for (const KernelSet* set : available()) {
    if (set->name == name) return set;
    if (!names.empty()) names += ", ";
    names += set->name;
  }
  return fail(Code::kUnsupported,
              "kernels '" + std::string(name) + "': not on this machine; it has " + names);
}

}  // namespace thaw::kernels
