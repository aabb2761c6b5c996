// A strict JSON reader (RFC 8259) for bytes that strangers send: bounded in depth and in values,
// without recursion or exceptions, into one flat array. Where a key comes twice, the last one wins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace thaw::json {

inline constexpr std::size_t kDepthMax = 128;         // real events nest less than twenty deep
inline constexpr std::size_t kValuesMax = 1u << 18;   // 10,000 queue records of some 25 values each
inline constexpr std::size_t kBytesMax = 128u << 20;  // any event of any platform is smaller

enum class Type : unsigned char { kAbsent, kNull, kBool, kNumber, kString, kArray, kObject };
std::string_view name_of(Type type);  // "absent", "null", "boolean", "number", "string", ...

struct Node {
  std::string_view key;     // of an object's member, decoded
  std::string_view text;    // a string, decoded; a number as it was written
  std::uint32_t first = 0;  // index of the first child; 0: none (the root is nobody's child)
  std::uint32_t next = 0;   // index of the next sibling; 0: none
  std::uint32_t count = 0;  // children
  Type type = Type::kNull;
  bool boolean = false;
};

// A value inside a Document; cheap to copy, valid while the Document lives. What does not exist is
// a Value too, of type kAbsent, so that lookups chain.
class Value {
 public:
  class Iterator;

  Value() = default;
  Value(const Node* nodes, std::uint32_t index) : nodes_(nodes), index_(index) {}

  Type type() const { return nodes_ == nullptr ? Type::kAbsent : node().type; }
  explicit operator bool() const { return nodes_ != nullptr; }
  bool is_object() const { return type() == Type::kObject; }
  bool is_array() const { return type() == Type::kArray; }
  bool is_string() const { return type() == Type::kString; }
  bool is_true() const { return type() == Type::kBool && node().boolean; }
  bool is_nothing() const { return type() == Type::kAbsent || type() == Type::kNull; }

  // The last member called `key`; absent where there is none, or this is no object. Linear.
  Value operator[](std::string_view key) const;
  // The element at `index` of an array or member of an object; absent where there is none. Linear.
  Value at(std::size_t index) const;
  std::size_t size() const { return nodes_ == nullptr ? 0 : node().count; }

  std::string_view key() const { return nodes_ == nullptr ? std::string_view{} : node().key; }
  // A string's text; empty for anything else.
  std::string_view text() const { return is_string() ? node().text : std::string_view{}; }
  // A number as it was written; empty for anything else.
  std::string_view number_text() const {
    return type() == Type::kNumber ? node().text : std::string_view{};
  }

  // Numbers; nothing for other types and where the value does not fit. An integer may be spelt
  // 256.0 or 1e2, as some languages write it.
  std::optional<std::int64_t> as_int64() const;
  std::optional<std::uint64_t> as_uint64() const;
  std::optional<double> as_double() const;

  // Over an array's elements or an object's members, in the order of the text.
  Iterator begin() const;
  Iterator end() const;

 private:
  const Node& node() const { return nodes_[index_]; }

  const Node* nodes_ = nullptr;
  std::uint32_t index_ = 0;
};

class Value::Iterator {
 public:
  using value_type = Value;
  using difference_type = std::ptrdiff_t;

  Iterator(const Node* nodes, std::uint32_t index) : nodes_(nodes), index_(index) {}
  Value operator*() const { return {nodes_, index_}; }
  Iterator& operator++() {
    index_ = nodes_[index_].next;
    return *this;
  }
  bool operator==(const Iterator& other) const { return index_ == other.index_; }

 private:
  const Node* nodes_;
  std::uint32_t index_;
};

inline Value::Iterator Value::begin() const {
  return {nodes_, nodes_ == nullptr ? 0 : node().first};
}
inline Value::Iterator Value::end() const { return {nodes_, 0}; }

// A parsed text. Movable; Values stay valid.
class Document {
 public:
  // Reads all of `text`, which must outlive the Document: strings without escapes point into it.
  // Errors: kInvalid  not JSON, or not UTF-8; says at which byte and what was wanted
  //         kLimit    deeper than kDepthMax, more than kValuesMax values, more than kBytesMax bytes
  static Result<Document> parse(std::string_view text);

  Value root() const { return {nodes_.data(), 0}; }

 private:
  friend class Parser;

  std::vector<Node> nodes_;
  std::unique_ptr<char[]> decoded_;  // strings that had escapes
  std::size_t decoded_bytes_ = 0;
};

}  // namespace thaw::json
