#include "handler/text/jinja_builtins.h"

namespace thaw::text::jinja {
namespace {

template <class Op>
constexpr Signature make(std::string_view name, Op op, std::uint8_t required = 0,
                         std::array<std::string_view, kParametersMax> parameters = {}) {
  return {name, static_cast<std::uint8_t>(op), required, false, parameters};
}

template <class Op>
constexpr Signature more(std::string_view name, Op op, std::uint8_t required) {
  return {name, static_cast<std::uint8_t>(op), required, true, {}};
}

constexpr Signature kFilters[] = {
    make("abs", Filter::kAbs),
    make("attr", Filter::kAttr, 1, {"name"}),
    make("capitalize", Filter::kCapitalize),
    make("count", Filter::kLength),
    make("d", Filter::kDefault, 0, {"default_value", "boolean"}),
    make("default", Filter::kDefault, 0, {"default_value", "boolean"}),
    make("dictsort", Filter::kDictsort, 0, {"case_sensitive", "by", "reverse"}),
    make("first", Filter::kFirst),
    make("float", Filter::kFloat, 0, {"default"}),
    more("format", Filter::kFormat, 0),
    make("indent", Filter::kIndent, 0, {"width", "first", "blank"}),
    make("int", Filter::kInt, 0, {"default", "base"}),
    make("items", Filter::kItems),
    make("join", Filter::kJoin, 0, {"d", "attribute"}),
    make("last", Filter::kLast),
    make("length", Filter::kLength),
    make("list", Filter::kList),
    make("lower", Filter::kLower),
    more("map", Filter::kMap, 1),
    // No name that a template could write: `map` with keywords becomes it.
    make("map attribute", Filter::kMapAttribute, 1, {"attribute", "default"}),
    make("max", Filter::kMax, 0, {"case_sensitive", "attribute"}),
    make("min", Filter::kMin, 0, {"case_sensitive", "attribute"}),
    more("reject", Filter::kReject, 0),
    more("rejectattr", Filter::kRejectattr, 1),
    make("replace", Filter::kReplace, 2, {"old", "new", "count"}),
    make("reverse", Filter::kReverse),
    make("round", Filter::kRound, 0, {"precision", "method"}),
    make("safe", Filter::kSafe),
    more("select", Filter::kSelect, 0),
    more("selectattr", Filter::kSelectattr, 1),
    make("sort", Filter::kSort, 0, {"reverse", "case_sensitive", "attribute"}),
    make("string", Filter::kString),
    make("sum", Filter::kSum, 0, {"attribute", "start"}),
    make("title", Filter::kTitle),
    make("tojson", Filter::kTojson, 0, {"ensure_ascii", "indent", "separators", "sort_keys"}),
    make("trim", Filter::kTrim, 0, {"chars"}),
    make("unique", Filter::kUnique, 0, {"case_sensitive", "attribute"}),
    make("upper", Filter::kUpper),
};

constexpr Signature kTests[] = {
    make("!=", Test::kNe, 1, {"other"}),
    make("<", Test::kLt, 1, {"other"}),
    make("<=", Test::kLe, 1, {"other"}),
    make("==", Test::kEq, 1, {"other"}),
    make(">", Test::kGt, 1, {"other"}),
    make(">=", Test::kGe, 1, {"other"}),
    make("boolean", Test::kBoolean),
    make("callable", Test::kCallable),
    make("defined", Test::kDefined),
    make("divisibleby", Test::kDivisibleby, 1, {"num"}),
    make("eq", Test::kEq, 1, {"other"}),
    make("equalto", Test::kEq, 1, {"other"}),
    make("even", Test::kEven),
    make("false", Test::kFalse),
    make("float", Test::kFloat),
    make("ge", Test::kGe, 1, {"other"}),
    make("greaterthan", Test::kGt, 1, {"other"}),
    make("gt", Test::kGt, 1, {"other"}),
    make("in", Test::kIn, 1, {"seq"}),
    make("integer", Test::kInteger),
    make("iterable", Test::kIterable),
    make("le", Test::kLe, 1, {"other"}),
    make("lessthan", Test::kLt, 1, {"other"}),
    make("lower", Test::kLower),
    make("lt", Test::kLt, 1, {"other"}),
    make("mapping", Test::kMapping),
    make("ne", Test::kNe, 1, {"other"}),
    make("none", Test::kNone),
    make("number", Test::kNumber),
    make("odd", Test::kOdd),
    make("sameas", Test::kSameas, 1, {"other"}),
    make("sequence", Test::kSequence),
    make("string", Test::kString),
    make("true", Test::kTrue),
    make("undefined", Test::kUndefined),
    make("upper", Test::kUpper),
};

constexpr Signature kMethods[] = {
    make("capitalize", Method::kCapitalize),
    make("count", Method::kCount, 1, {"value"}),
    more("cycle", Method::kCycle, 1),
    make("endswith", Method::kEndswith, 1, {"suffix"}),
    make("find", Method::kFind, 1, {"sub", "start"}),
    make("get", Method::kGet, 1, {"key", "default"}),
    make("index", Method::kIndex, 1, {"value"}),
    make("isdigit", Method::kIsdigit),
    make("items", Method::kItems),
    make("join", Method::kJoin, 1, {"iterable"}),
    make("keys", Method::kKeys),
    make("lower", Method::kLower),
    make("lstrip", Method::kLstrip, 0, {"chars"}),
    make("removeprefix", Method::kRemoveprefix, 1, {"prefix"}),
    make("removesuffix", Method::kRemovesuffix, 1, {"suffix"}),
    make("replace", Method::kReplace, 2, {"old", "new", "count"}),
    make("rsplit", Method::kRsplit, 0, {"sep", "maxsplit"}),
    make("rstrip", Method::kRstrip, 0, {"chars"}),
    make("split", Method::kSplit, 0, {"sep", "maxsplit"}),
    make("splitlines", Method::kSplitlines, 0, {"keepends"}),
    make("startswith", Method::kStartswith, 1, {"prefix"}),
    make("strip", Method::kStrip, 0, {"chars"}),
    make("title", Method::kTitle),
    make("upper", Method::kUpper),
    make("values", Method::kValues),
};

constexpr Signature kFunctions[] = {
    more("dict", Function::kDict, 0),
    more("namespace", Function::kNamespace, 0),
    more("raise_exception", Function::kRaiseException, 1),
    more("range", Function::kRange, 1),
    more("strftime_now", Function::kStrftimeNow, 1),
};

}  // namespace

std::uint8_t Signature::count() const {
  std::uint8_t known = 0;
  while (known < kParametersMax && !parameters[known].empty()) ++known;
  return known;
}

std::span<const Signature> filters() { return kFilters; }
std::span<const Signature> tests() { return kTests; }
std::span<const Signature> methods() { return kMethods; }
std::span<const Signature> functions() { return kFunctions; }

std::optional<Signature> find(std::span<const Signature> among, std::string_view name) {
  for (const Signature& signature : among) {
    if (signature.name == name) return signature;
  }
  return std::nullopt;
}

bool check_arguments(const Node& node) {
  std::span<const Signature> among;
  if (node.kind == Kind::kMethod)
    among = kMethods;
  else if (node.kind == Kind::kFilter)
    among = kFilters;
  else if (node.kind == Kind::kTest)
    among = kTests;
  else
    return true;
  for (const Signature& signature : among) {
    if (signature.op != node.op) continue;
    if (!signature.takes_more) return node.count == signature.count();
    return node.count >= signature.required && node.count <= kArgumentsMax;
  }
  return false;
}

std::optional<std::string_view> unsupported_format(std::string_view format) {
  for (std::size_t at = format.find('%'); at != std::string_view::npos;
       at = format.find('%', at + 2)) {
    const std::string_view specifier = format.substr(at, 2);
    if (specifier.size() < 2 ||
        std::string_view("sdir%").find(specifier[1]) == std::string_view::npos) {
      return specifier;
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> unsupported_time_format(std::string_view format) {
  for (std::size_t at = format.find('%'); at != std::string_view::npos;) {
    // "%-d" is glibc's day without its zero.
    const std::size_t length = at + 1 < format.size() && format[at + 1] == '-' ? 3 : 2;
    const std::string_view specifier = format.substr(at, length);
    if (specifier.size() < length ||
        std::string_view("aAbBcdDeFHIjmMpRSTuwyYZ%").find(specifier.back()) ==
            std::string_view::npos) {
      return specifier;
    }
    at = format.find('%', at + length);
  }
  return std::nullopt;
}

}  // namespace thaw::text::jinja
