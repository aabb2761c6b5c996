// In the place of yaml_tree.cc where there is no yaml-cpp.
#include "base/str.h"
#include "runtime/deployment/yaml_tree.h"

namespace thaw::deployment {

Result<Node> read_yaml(std::string_view name, std::string_view) {
  return fail(Code::kUnsupported,
              cat("template '", name, "': this build reads none; name a snapshot or a folder"));
}

}  // namespace thaw::deployment
