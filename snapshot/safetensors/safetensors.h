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

enum class Type : std::uint8_t {
  kF32,
  kF16,
  kBf16,
  kF64,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  kF8E4m3,
  kF8E5m2,
  kF8E8m0,
  kU16,
  kU32,
  kU64,
};

// As the format spells it, "F8_E4M3".
std::string_view name_of(Type type);
std::size_t element_bytes(Type type);

struct Tensor {
  std::string name;
  Type type{};
  std::vector<std::uint64_t> shape;  // row-major: the last is contiguous; extents may be 0
  Bytes bytes;                       // in the map, unaligned; exactly what type and shape say
};

inline constexpr std::uint64_t kHeaderBytesMax = 100'000'000;  // as the format's own library has it
inline constexpr std::uint64_t kIndexBytesMax = kHeaderBytesMax;  // it says less than the headers
inline constexpr std::size_t kShardCountMax = 4096;  // each is a map; the largest models have 200
inline constexpr std::size_t kDimensionsMax = 16;    // more than any framework computes with

// All tensors of a model directory, mapped. Immutable; views live as long as it does.
class Model {
 public:
  // Reads `directory`/model.safetensors.index.json where there is one, else model.safetensors.
  // Errors: kNotFound, kIo, kUnsupported (a type), kCorrupt (header, bounds, overlaps, holes,
  //         duplicates, an index that disagrees with its files, a file name with a slash),
  //         kLimit (the sizes above).
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
