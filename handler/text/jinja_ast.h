// The compiled form of a template: a flat tree in one byte buffer, children before parents.
//
//   bytes 0..31   Header
//   then          node_count x Node, list_count x u32, string_count x StringEntry, string bytes
//
// A reader checks every node once (Ast::open), so that walking it can't leave the buffer, loop, or
// go deeper than kDepthMax.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace thaw::text::jinja {

inline constexpr std::uint32_t kMagic = 0x4A4E4A54;   // "TJNJ"
inline constexpr std::uint16_t kVersion = 1;          // readers refuse any other
inline constexpr std::uint32_t kAbsent = 0xFFFFFFFF;  // where a node or string is optional

inline constexpr std::size_t kSourceBytesMax = 1 << 20;  // a hundred times the longest one known
inline constexpr std::uint32_t kDepthMax = 200;          // of the tree: bounds the stack of readers
inline constexpr std::uint32_t kArgumentsMax = 64;       // of one call

enum class Kind : std::uint8_t {
  // Statements.
  kSequence,      // list: nodes
  kData,          // a: string
  kOutput,        // a: expression
  kIf,            // list: condition, body, ...; a: else, optional
  kFor,           // list: names; a: iterable, b: filter (optional), c: body, d: else (optional)
  kSet,           // list: names; a: value
  kSetAttribute,  // a: name, b: attribute, c: value
  kMacro,         // a: name, b: body; list: parameter, default (optional), ...
  kWith,          // list: name, value, ...; a: body
  kBreak,
  kContinue,
  // Expressions.
  kNone,
  kTrue,
  kFalse,
  kInteger,      // a, b: low and high half
  kFloat,        // a, b: low and high half of its bits
  kString,       // a: string
  kName,         // a: string
  kList,         // list: nodes
  kTuple,        // list: nodes
  kDict,         // list: key, value, ...
  kAttribute,    // a: object, b: string
  kIndex,        // a: object, b: index
  kSlice,        // a: object; b, c, d: start, stop, step (optional)
  kNot,          // a
  kNegate,       // a
  kPositive,     // a
  kBinary,       // op: Binary; a, b
  kCompare,      // a; list: Comparison, node, ...
  kConditional,  // a: condition, b: then, c: else (optional)
  kCall,         // a: name of a function or macro; list: keyword (optional), node, ...
  kMethod,       // a: object; op: Method; list: optional nodes, by the method's signature
  kFilter,       // a: value; op: Filter; list: as kMethod
  kTest,         // a: value; op: Test; list: as kMethod
  kCapture,      // a: body, whose output is the value
};
inline constexpr std::uint8_t kKindCount = 35;

enum class Binary : std::uint8_t {
  kOr,
  kAnd,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kConcatenate,
};
enum class Comparison : std::uint32_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Node {
  Kind kind = Kind::kNone;
  std::uint8_t op = 0;
  std::uint16_t reserved = 0;
  std::uint32_t line = 0;
  std::uint32_t a = kAbsent;
  std::uint32_t b = kAbsent;
  std::uint32_t c = kAbsent;
  std::uint32_t d = kAbsent;
  std::uint32_t list = 0;  // first of `count` entries of the list pool
  std::uint32_t count = 0;
};
static_assert(sizeof(Node) == 32);

struct StringEntry {
  std::uint32_t offset = 0;  // into the string bytes
  std::uint32_t size = 0;
};

struct Header {
  std::uint32_t magic = kMagic;
  std::uint16_t version = kVersion;
  std::uint16_t reserved = 0;
  std::uint32_t node_count = 0;
  std::uint32_t list_count = 0;
  std::uint32_t string_count = 0;
  std::uint32_t string_bytes = 0;
  std::uint32_t root = 0;
  std::uint32_t reserved_too = 0;
};
static_assert(sizeof(Header) == 32);

// What a field of a node holds.
enum class Role : std::uint8_t { kUnused, kRaw, kNode, kOptionalNode, kString, kOptionalString };

// The roles of a kind's fields. The list repeats `list[0]`, `list[1]` in turn; equal where it is
// plain.
struct Shape {
  Role a, b, c, d;
  Role list[2];
};
const Shape& shape_of(Kind kind);

// A compiled template, checked. Immutable; borrows its bytes.
class Ast {
 public:
  // Errors: kCorrupt; kUnsupported (another version).
  static Result<Ast> open(Bytes compiled);

  // Preconditions: an index that a checked node holds.
  Node node(std::uint32_t index) const { return load<Node>(nodes_ + index * sizeof(Node)); }
  std::uint32_t entry(const Node& of, std::uint32_t index) const {
    return load<std::uint32_t>(lists_ + (of.list + index) * sizeof(std::uint32_t));
  }
  std::string_view string(std::uint32_t index) const;
  // The index of a string, or kAbsent.
  std::uint32_t find_string(std::string_view text) const;

  std::uint32_t root() const { return header_.root; }

 private:
  Result<Done> check() const;
  Result<std::uint32_t> check_node(std::uint32_t index, const std::uint16_t* depths) const;
  bool fits(Role role, std::uint32_t value, std::uint32_t below) const;

  Header header_;
  const std::byte* nodes_ = nullptr;
  const std::byte* lists_ = nullptr;
  const std::byte* strings_ = nullptr;
  const std::byte* characters_ = nullptr;
};

}  // namespace thaw::text::jinja
