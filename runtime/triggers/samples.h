// Sample events of each source, for `thaw events`: what a function is invoked with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace thaw::triggers {

struct Sample {
  std::string_view name, says;
};
std::vector<Sample> samples();

// The sample's JSON, indented. Always the same. Errors: kNotFound, naming those that there are.
Result<std::string> sample_event(std::string_view name);

}  // namespace thaw::triggers
