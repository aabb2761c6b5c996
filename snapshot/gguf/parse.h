// The bytes of a GGUF file, checked and taken apart; what gguf::File stands on. Views only: nothing
// of the file is copied.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "snapshot/gguf/gguf.h"

namespace thaw::gguf {

// Metadata types as GGUF numbers them.
enum class ValueType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// The bytes of a value of fixed size, 0 for strings, arrays and numbers that are no type.
std::size_t fixed_bytes(ValueType type);

struct Value {
  ValueType type{};
  ValueType element{};      // of an array
  std::uint64_t count = 0;  // of an array
  Bytes bytes;              // the number, the string's text, or the array's elements as they lie
};

struct Key {
  std::string_view name;
  Value value;
};

struct Contents {
  std::vector<Key> keys;             // sorted by name, no two alike
  std::vector<Tensor> tensors;       // in the file's order
  std::vector<std::size_t> by_name;  // indices into `tensors`, sorted by name, no two alike
};

// Walks the elements of an array of strings that parse() has checked.
class Strings {
 public:
  explicit Strings(Bytes elements) : rest_(elements) {}
  std::string_view next();  // precondition: there is one

 private:
  Bytes rest_;
};

// How deep arrays of arrays may go; nothing that models use goes beyond 1.
inline constexpr unsigned kArrayDepthMax = 4;
inline constexpr std::uint32_t kDimensionsMax = 4;  // as GGUF's own library has it
inline constexpr std::uint64_t kDefaultAlignment = 32;

// Errors as File::open; `path` is for messages. The memory it takes is bounded by a small multiple
// of the part of the file before the tensors' data.
Result<Contents> parse(const std::string& path, Bytes file);

}  // namespace thaw::gguf
