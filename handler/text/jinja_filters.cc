// Filters on text and numbers.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/str.h"
#include "handler/text/jinja_interpreter.h"

namespace thaw::text::jinja {

Result<Value> Interpreter::filter(Filter op, const Value& value, const Arguments& given) {
  switch (op) {
    case Filter::kDefault: {
      const bool missing = value.is_undefined() || (given.truthy(1) && !truth(value));
      if (!missing) return value;
      return given.get(0) ? *given.get(0) : Value(Text());
    }
    case Filter::kSafe: return value;
    case Filter::kAttr: {
      THAW_TRY(name, want_text(given.get(0), "attr wants a name", given.line));
      if (value.dict()) return Value();  // the attribute of a dict, not its item
      return attribute(value, name->view(), kAbsent, given.line);
    }
    case Filter::kTojson: return to_json(value, given);
    case Filter::kAbs:
    case Filter::kFloat:
    case Filter::kInt:
    case Filter::kRound: return number_filter(op, value, given);
    case Filter::kCapitalize:
    case Filter::kFormat:
    case Filter::kIndent:
    case Filter::kLower:
    case Filter::kReplace:
    case Filter::kString:
    case Filter::kTitle:
    case Filter::kTrim:
    case Filter::kUpper: return text_filter(op, value, given);
    default: return sequence_filter(op, value, given);
  }
}

Result<Value> Interpreter::text_filter(Filter op, const Value& value, const Arguments& given) {
  THAW_TRY(text, text_of(value, given.line));
  switch (op) {
    case Filter::kCapitalize: return make_text(change_case(text, Case::kCapitalize), given.line);
    case Filter::kLower: return make_text(change_case(text, Case::kLower), given.line);
    case Filter::kUpper: return make_text(change_case(text, Case::kUpper), given.line);
    case Filter::kTitle: return make_text(change_case(text, Case::kWords), given.line);
    case Filter::kTrim: {
      const Value* characters = given.get(0);
      if (!characters || characters->is_none()) {
        return make_text(strip(text, Side::kBoth, std::nullopt), given.line);
      }
      THAW_TRY(set, want_text(characters, "trim wants a string", given.line));
      return make_text(strip(text, Side::kBoth, set->view()), given.line);
    }
    case Filter::kReplace: {
      Arguments as_text = given;
      for (std::size_t i = 0; i < 2; ++i) {  // the filter takes what the method would not
        if (!given.get(i)) return error(given.line, "replace wants two strings");
        THAW_TRY(part, text_of(*given.get(i), given.line));
        as_text.slots[i] = Value(std::move(part));
      }
      return text_method(Method::kReplace, text, as_text);
    }
    case Filter::kFormat: {
      std::vector<Value> values;
      for (const auto& slot : given.slots) values.push_back(slot.value_or(Value()));
      return format(text, values, given.line);
    }
    case Filter::kIndent: return indent(text, given);
    default: return Value(std::move(text));
  }
}

Result<Value> Interpreter::indent(const Text& text, const Arguments& given) {
  Text margin("    ", true);
  if (const Value* width = given.get(0)) {
    if (width->text()) {
      margin = *width->text();
    } else {
      THAW_TRY(count, want_integer(width, "indent wants a width", given.line));
      THAW_TRY_DO(charge(0, count > 0 ? static_cast<std::uint64_t>(count) : 0, given.line));
      const auto spaces = static_cast<std::size_t>(std::max<std::int64_t>(count, 0));
      margin = Text(std::string(spaces, ' '), true);
    }
  }
  Text out;
  const std::vector<Text> lines = split_lines(text, true);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    THAW_TRY_DO(charge(1, margin.size() + lines[i].size(), given.line));
    const bool is_blank = strip(lines[i], Side::kBoth, "\r\n").empty();
    const bool indents = i == 0 ? given.truthy(1) : (given.truthy(2) || !is_blank);
    if (indents) out.append(margin);
    out.append(lines[i]);
  }
  return Value(std::move(out));
}

Result<Value> Interpreter::number_filter(Filter op, const Value& value, const Arguments& given) {
  if (const Undefined* undefined = value.undefined())
    return undefined_error(*undefined, given.line);
  if (op == Filter::kAbs || op == Filter::kRound) {
    if (!is_number(value)) return type_error(given.line, "a number is wanted", value);
  }
  if (op == Filter::kAbs) {
    if (value.real()) return Value(std::abs(*value.real()));
    const std::int64_t number = integer_of(value);
    if (number >= 0) return Value(number);
    return integer_arithmetic(Binary::kSubtract, 0, number, given.line);
  }
  if (op == Filter::kRound) {
    std::int64_t precision = 0;
    if (given.get(0)) {
      THAW_TRY(wanted, want_integer(given.get(0), "round wants a precision", given.line));
      precision = std::clamp<std::int64_t>(wanted, -300, 300);
    }
    std::string_view how = "common";
    if (given.get(1)) {
      THAW_TRY(named, want_text(given.get(1), "round wants a method's name", given.line));
      how = named->view();
    }
    if (is_integer(value) && precision >= 0 && how == "common") return Value(integer_of(value));
    const double scale = std::pow(10.0, static_cast<double>(precision));
    const double scaled = number_of(value) * scale;
    if (how == "ceil") return Value(std::ceil(scaled) / scale);
    if (how == "floor") return Value(std::floor(scaled) / scale);
    if (how != "common") return error(given.line, "round knows common, ceil and floor");
    return Value(std::nearbyint(scaled) / scale);  // Python rounds half to even
  }
  const bool whole = op == Filter::kInt;
  const Value otherwise = given.get(0) ? *given.get(0)
                          : whole      ? Value(std::int64_t{0})
                                       : Value(0.0);
  if (is_integer(value)) {
    return whole ? Value(integer_of(value)) : Value(static_cast<double>(integer_of(value)));
  }
  double number = 0;
  if (value.real()) {
    number = *value.real();
  } else if (value.text()) {
    const Text stripped = strip(*value.text(), Side::kBoth, std::nullopt);
    std::string digits(stripped.view());
    if (digits.starts_with('+')) digits.erase(0, 1);
    const char* end = digits.data() + digits.size();
    if (whole) {
      std::int64_t base = 10;
      if (given.get(1)) {
        THAW_TRY(wanted, want_integer(given.get(1), "int wants a base", given.line));
        base = wanted;
      }
      if (base < 2 || base > 36) return error(given.line, "int's base is between 2 and 36");
      std::int64_t parsed = 0;
      const auto read = std::from_chars(digits.data(), end, parsed, static_cast<int>(base));
      if (read.ec == std::errc{} && read.ptr == end) return Value(parsed);
    }
    const auto read = std::from_chars(digits.data(), end, number);
    if (read.ec != std::errc{} || read.ptr != end) return otherwise;
  } else {
    return otherwise;
  }
  if (!whole) return Value(number);
  if (!(std::abs(number) < 9e18)) return otherwise;
  return Value(static_cast<std::int64_t>(number));
}

}  // namespace thaw::text::jinja
