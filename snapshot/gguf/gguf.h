// Reads GGUF version 3 files (and 2, which differs in nothing that matters here). Files are
// hostile: every count is bounded by the file's size before anything is allocated.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"

namespace thaw::gguf {

// Element types as GGUF numbers them.
enum class Type : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIq2Xxs = 16,
  kIq2Xs = 17,
  kIq3Xxs = 18,
  kIq1S = 19,
  kIq4Nl = 20,
  kIq3S = 21,
  kIq2S = 22,
  kIq4Xs = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIq1M = 29,
  kBf16 = 30,
  kTq1_0 = 34,
  kTq2_0 = 35,
  kMxfp4 = 39,
};

struct TypeInfo {
  Type type;
  std::string_view name;  // "Q4_K"
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
};
// Nothing for a number that is no type this reader knows.
const TypeInfo* find_type(std::uint32_t number);

struct Tensor {
  std::string_view name;  // lives as long as the File
  Type type{};
  std::vector<std::uint64_t> shape;  // at most 4, none 0; shape[0] is the contiguous one (columns)
  Bytes bytes;                       // in the map; exactly the size that type and shape say

  std::uint64_t cols() const { return shape.empty() ? 1 : shape[0]; }
  std::uint64_t rows() const;  // product of the others
};

// A GGUF file, mapped. Immutable; views live as long as it does.
class File {
 public:
  // Errors: kNotFound, kIo, kUnsupported (another version, big-endian, a tensor of unknown type,
  //         arrays too deep), kCorrupt (bad magic, lengths, alignment, duplicate keys or tensors,
  //         tensors without elements, out of bounds or overlapping).
  static Result<std::unique_ptr<File>> open(Files& files, const std::string& path);
  ~File();

  // Metadata by key; nothing where the key is absent or has another type. Integers convert where
  // the value fits, and every number to a floating-point one.
  std::optional<std::uint64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> text(std::string_view key) const;
  std::optional<std::vector<std::string_view>> texts(std::string_view key) const;
  std::optional<std::vector<float>> numbers(std::string_view key) const;
  std::optional<std::vector<std::int64_t>> integers(std::string_view key) const;
  bool has(std::string_view key) const;

  std::span<const Tensor> tensors() const;
  const Tensor* find(std::string_view name) const;
  const std::string& path() const;

 private:
  File();
  struct State;
  std::unique_ptr<State> state_;
};

// Turns blocks of elements into floats; to.size() elements are read from the start of `blocks`.
// Errors: kUnsupported  naming the type, where dequantising it is not known (IQ1, IQ2, IQ3)
//         kInvalid      to.size() is no multiple of a block, or `blocks` has fewer
Result<Done> dequantise(Type type, Bytes blocks, std::span<float> to);

}  // namespace thaw::gguf
