// The JSON of safetensors: a file's header and a model's index, read without a document tree, so
// that a key that is there twice is seen and memory stays in proportion to the text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "snapshot/safetensors/safetensors.h"

namespace thaw::safetensors {

// A tensor as a header states it. That the range has the size of type and shape is checked; where
// it lies is not yet.
struct Stated {
  std::string name;
  Type type{};
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;  // from the start of the data
  std::uint64_t end = 0;
};

struct Placement {
  std::string tensor;
  std::string file;
};

// `path` is for messages. Sorted by name, no two alike.
// Errors: kCorrupt, kUnsupported (a type), kLimit (dimensions).
Result<std::vector<Stated>> parse_header(const std::string& path, std::string_view json);
// Sorted by tensor, no two alike. Errors: kCorrupt.
Result<std::vector<Placement>> parse_index(const std::string& path, std::string_view json);

}  // namespace thaw::safetensors
