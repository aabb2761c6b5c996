// Reads safetensors files: one, or a set with model.safetensors.index.json. Files are hostile.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"

namespace thaw::safetensors {

enum class Type : std::uint8_t { kF32, kF16, kBf16, kF64, kI64, kI32, kI16, kI8, kU8, kBool, kF8E4m3 };

struct Tensor {
  std::string name;
  Type type{};
  std::vector<std::uint64_t> shape;  // row-major: the last is contiguous
  Bytes bytes;                       // in the map
};

inline constexpr std::uint64_t kHeaderBytesMax = 100u << 20;  // as the format's own library has it

// All tensors of a model directory, mapped. Immutable; views live as long as it does.
class Model {
 public:
  // Reads `directory`/model.safetensors.index.json where there is one, else model.safetensors.
  // Errors: kNotFound, kIo, kUnsupported (a type), kCorrupt (header, bounds, overlaps, holes,
  //         duplicates, an index that disagrees with its files, a file name with a slash).
  static Result<std::unique_ptr<Model>> open(Files& files, const std::string& directory);
  ~Model();
  std::span<const Tensor> tensors() const;  // sorted by name
  const Tensor* find(std::string_view name) const;

 private:
  Model();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace thaw::safetensors
