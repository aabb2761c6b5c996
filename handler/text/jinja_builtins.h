// Names that a template may call, with their parameters: filters, tests, methods, functions. The
// compiler binds arguments to parameters, so that what is unknown is refused at freeze time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "handler/text/jinja_ast.h"

namespace thaw::text::jinja {

enum class Filter : std::uint8_t {
  kAbs,
  kAttr,
  kCapitalize,
  kDefault,
  kDictsort,
  kFirst,
  kFloat,
  kFormat,
  kIndent,
  kInt,
  kItems,
  kJoin,
  kLast,
  kLength,
  kList,
  kLower,
  kMap,           // by a filter's name
  kMapAttribute,  // by attribute=
  kMax,
  kMin,
  kReject,
  kRejectattr,
  kReplace,
  kReverse,
  kRound,
  kSafe,
  kSelect,
  kSelectattr,
  kSort,
  kString,
  kSum,
  kTitle,
  kTojson,
  kTrim,
  kUnique,
  kUpper,
};

enum class Test : std::uint8_t {
  kBoolean,
  kCallable,
  kDefined,
  kDivisibleby,
  kEq,
  kEven,
  kFalse,
  kFloat,
  kGe,
  kGt,
  kIn,
  kInteger,
  kIterable,
  kLe,
  kLower,
  kLt,
  kMapping,
  kNe,
  kNone,
  kNumber,
  kOdd,
  kSameas,
  kSequence,
  kString,
  kTrue,
  kUndefined,
  kUpper,
};

enum class Method : std::uint8_t {
  kCapitalize,
  kCount,
  kCycle,
  kEndswith,
  kFind,
  kGet,
  kIndex,
  kIsdigit,
  kItems,
  kJoin,
  kKeys,
  kLower,
  kLstrip,
  kRemoveprefix,
  kRemovesuffix,
  kReplace,
  kRsplit,
  kRstrip,
  kSplit,
  kSplitlines,
  kStartswith,
  kStrip,
  kTitle,
  kUpper,
  kValues,
};

enum class Function : std::uint8_t { kDict, kNamespace, kRaiseException, kRange, kStrftimeNow };

inline constexpr std::uint8_t kParametersMax = 5;

struct Signature {
  std::string_view name;
  std::uint8_t op = 0;
  std::uint8_t required = 0;  // this many of the parameters
  bool takes_more = false;    // any number of positional arguments, and no keywords
  std::array<std::string_view, kParametersMax> parameters{};

  std::uint8_t count() const;
};

// All known, aliases included.
std::span<const Signature> filters();
std::span<const Signature> tests();
std::span<const Signature> methods();
std::span<const Signature> functions();
std::optional<Signature> find(std::span<const Signature> among, std::string_view name);

// Whether a kMethod, kFilter or kTest node names a known op and has as many arguments as it takes;
// true for all other nodes.
bool check_arguments(const Node& node);

// What Python's % (and so the filter `format`) is asked for beyond %s, %d, %i, %r and %%: the first
// such specifier, or nothing.
std::optional<std::string_view> unsupported_format(std::string_view format);
// The first specifier of strftime_now that is not supported.
std::optional<std::string_view> unsupported_time_format(std::string_view format);

}  // namespace thaw::text::jinja
