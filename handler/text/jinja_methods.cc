// Tests and methods.
#include <cmath>

#include "base/str.h"
#include "handler/text/jinja_interpreter.h"

namespace thaw::text::jinja {

Result<bool> Interpreter::test(Test op, const Value& value, const Arguments& given) {
  const bool* flag = value.flag();
  switch (op) {
    case Test::kDefined: return !value.is_undefined();
    case Test::kUndefined: return value.is_undefined();
    case Test::kNone: return value.is_none();
    case Test::kBoolean: return flag != nullptr;
    case Test::kTrue: return flag && *flag;
    case Test::kFalse: return flag && !*flag;
    case Test::kInteger: return value.integer() != nullptr;
    case Test::kFloat: return value.real() != nullptr;
    case Test::kNumber: return is_number(value);
    case Test::kString: return value.text() != nullptr;
    case Test::kMapping: return value.dict() != nullptr;
    case Test::kSequence:
    case Test::kIterable:
      return value.text() || value.list() || value.dict() || value.is_undefined() ||
             (op == Test::kIterable && value.loop());
    case Test::kCallable: return value.macro() || value.is<Builtin>();
    case Test::kLower:
    case Test::kUpper: {
      THAW_TRY(text, text_of(value, given.line));
      return is_case(text.view(), op == Test::kUpper);
    }
    case Test::kEven:
    case Test::kOdd: {
      THAW_TRY(rest, arithmetic(Binary::kModulo, value, Value(std::int64_t{2}), given.line));
      return is_number(rest) && number_of(rest) == (op == Test::kOdd ? 1 : 0);
    }
    default: break;
  }
  if (!given.get(0)) return error(given.line, "a test's argument is missing");
  const Value& other = *given.get(0);
  switch (op) {
    case Test::kDivisibleby: {
      THAW_TRY(rest, arithmetic(Binary::kModulo, value, other, given.line));
      return is_number(rest) && number_of(rest) == 0;
    }
    case Test::kEq: return holds(Comparison::kEqual, value, other, given.line);
    case Test::kNe: return holds(Comparison::kNotEqual, value, other, given.line);
    case Test::kLt: return holds(Comparison::kLess, value, other, given.line);
    case Test::kLe: return holds(Comparison::kLessEqual, value, other, given.line);
    case Test::kGt: return holds(Comparison::kGreater, value, other, given.line);
    case Test::kGe: return holds(Comparison::kGreaterEqual, value, other, given.line);
    case Test::kIn: return contains(other, value, given.line);
    case Test::kSameas: {  // identity: of what has one, else equality within a type
      if (type_name(value) != type_name(other)) return false;
      if (value.list() || value.dict()) {
        return value.list() == other.list() && value.dict() == other.dict();
      }
      return equal(value, other, given.line);
    }
    default: return error(given.line, "an unknown test", Code::kCorrupt);
  }
}

Result<Value> Interpreter::method(const Node& node) {
  THAW_TRY(object, evaluate(node.a));
  THAW_TRY(given, collect(node));
  const auto op = static_cast<Method>(node.op);
  if (const Text* text = object.text()) return text_method(op, *text, given);
  if (const Dict* dict = object.dict()) return dict_method(op, *dict, given);
  if (const List* list = object.list()) return list_method(op, *list, given);
  if (const Loop* loop = object.loop(); loop && op == Method::kCycle && !given.slots.empty()) {
    const Value* chosen = given.get(loop->index % given.slots.size());
    return chosen ? *chosen : Value();
  }
  return type_error(node.line, "a method of a string, list or dict is called", object);
}

namespace {

// A method's string arguments, absent ones and none as "not given".
std::optional<std::string_view> optional_text(const Value* value) {
  if (!value || !value->text()) return std::nullopt;
  return value->text()->view();
}

}  // namespace

Result<Value> Interpreter::text_method(Method op, const Text& text, const Arguments& given) {
  THAW_TRY_DO(charge(1, text.size(), given.line));
  const Value* first = given.get(0);
  switch (op) {
    case Method::kCapitalize: return make_text(change_case(text, Case::kCapitalize), given.line);
    case Method::kLower: return make_text(change_case(text, Case::kLower), given.line);
    case Method::kUpper: return make_text(change_case(text, Case::kUpper), given.line);
    case Method::kTitle: return make_text(change_case(text, Case::kTitle), given.line);
    case Method::kIsdigit: return Value(is_digits(text.view()));
    case Method::kStrip:
    case Method::kLstrip:
    case Method::kRstrip: {
      if (first && !first->text() && !first->is_none()) {
        return type_error(given.line, "strip wants a string", *first);
      }
      const Side side = op == Method::kStrip    ? Side::kBoth
                        : op == Method::kLstrip ? Side::kLeft
                                                : Side::kRight;
      return make_text(strip(text, side, optional_text(first)), given.line);
    }
    case Method::kSplit:
    case Method::kRsplit: {
      if (first && !first->text() && !first->is_none()) {
        return type_error(given.line, "split wants a string", *first);
      }
      const auto separator = optional_text(first);
      if (separator && separator->empty()) return error(given.line, "split at an empty string");
      std::int64_t splits_max = -1;
      if (given.get(1)) {
        THAW_TRY(wanted, want_integer(given.get(1), "split wants a count", given.line));
        splits_max = wanted;
      }
      std::vector<Value> parts;
      for (Text& part : split(text, separator, splits_max, op == Method::kRsplit)) {
        parts.emplace_back(std::move(part));
      }
      return make_list(std::move(parts), false, given.line);
    }
    case Method::kSplitlines: {
      std::vector<Value> lines;
      for (Text& line : split_lines(text, given.truthy(0))) lines.emplace_back(std::move(line));
      return make_list(std::move(lines), false, given.line);
    }
    case Method::kReplace: {
      THAW_TRY(old, want_text(first, "replace wants two strings", given.line));
      THAW_TRY(with, want_text(given.get(1), "replace wants two strings", given.line));
      std::int64_t count = -1;
      if (given.get(2) && !given.get(2)->is_none()) {
        THAW_TRY(wanted, want_integer(given.get(2), "replace wants a count", given.line));
        count = wanted;
      }
      // Charged before it is made: each byte may become as many as `with` has.
      const std::uint64_t places = text.size() / std::max<std::size_t>(old->size(), 1) + 1;
      if (places * with->size() > kWorkBytesMax) {
        return error(given.line, "replace would make more text than the limit", Code::kLimit);
      }
      return make_text(replace(text, old->view(), *with, count), given.line);
    }
    case Method::kJoin: {
      THAW_TRY(list, list_of(first ? *first : Value(), given.line));
      for (const Value& item : list->items) {
        if (!item.text()) return type_error(given.line, "join wants strings", item);
      }
      Arguments separator;
      separator.line = given.line;
      separator.slots.emplace_back(Value(text));
      return join(Value(list), separator);
    }
    default: return text_search(op, text, given);
  }
}

Result<Value> Interpreter::text_search(Method op, const Text& text, const Arguments& given) {
  const std::string_view bytes = text.view();
  const Value* first = given.get(0);
  if (op == Method::kStartswith || op == Method::kEndswith) {
    const std::vector<Value> one = {first ? *first : Value()};
    const bool several = first && first->list() && first->list()->is_tuple;
    for (const Value& each : several ? first->list()->items : one) {
      THAW_TRY(affix, want_text(&each, "a string or a tuple of them is wanted", given.line));
      const std::string_view wanted = affix->view();
      if (op == Method::kStartswith ? bytes.starts_with(wanted) : bytes.ends_with(wanted)) {
        return Value(true);
      }
    }
    return Value(false);
  }
  if (op != Method::kFind && op != Method::kCount && op != Method::kIndex &&
      op != Method::kRemoveprefix && op != Method::kRemovesuffix) {
    return error(given.line, "a string has no such method");
  }
  THAW_TRY(wanted_text, want_text(first, "a string is wanted", given.line));
  const std::string_view wanted = wanted_text->view();
  if (op == Method::kRemoveprefix) {
    return make_text(text.slice(bytes.starts_with(wanted) ? wanted.size() : 0, text.size()),
                     given.line);
  }
  if (op == Method::kRemovesuffix) {
    return make_text(text.slice(0, text.size() - (bytes.ends_with(wanted) ? wanted.size() : 0)),
                     given.line);
  }
  if (op == Method::kCount) {
    if (wanted.empty()) return Value(static_cast<std::int64_t>(count_characters(bytes) + 1));
    std::int64_t count = 0;
    for (std::size_t at = bytes.find(wanted); at != std::string_view::npos;
         at = bytes.find(wanted, at + wanted.size())) {
      ++count;
    }
    return Value(count);
  }
  std::size_t from = 0;
  if (given.get(1)) {
    THAW_TRY(start, want_integer(given.get(1), "find wants an integer", given.line));
    const auto size = static_cast<std::int64_t>(count_characters(bytes));
    if (start > size) return Value(std::int64_t{-1});
    if (start < 0) start = std::max<std::int64_t>(0, start < -size ? 0 : start + size);
    for (; start > 0; --start) from += character_at(bytes, from).bytes;
  }
  const std::size_t at = bytes.find(wanted, from);
  if (at != std::string_view::npos) {
    return Value(static_cast<std::int64_t>(count_characters(bytes.substr(0, at))));
  }
  if (op == Method::kIndex) return error(given.line, "index found nothing");
  return Value(std::int64_t{-1});
}

Result<Value> Interpreter::dict_method(Method op, const Dict& dict, const Arguments& given) {
  std::vector<Value> list;
  if (op == Method::kGet) {
    if (!given.get(0)) return error(given.line, "get wants a key");
    for (const auto& [key, value] : dict.items) {
      THAW_TRY(same, equal(key, *given.get(0), given.line));
      if (same) return value;
    }
    return given.get(1) ? *given.get(1) : Value(None{});
  }
  for (const auto& [key, value] : dict.items) {
    if (op == Method::kKeys) {
      list.push_back(key);
    } else if (op == Method::kValues) {
      list.push_back(value);
    } else if (op == Method::kItems) {
      THAW_TRY(pair, make_list({key, value}, true, given.line));
      list.push_back(std::move(pair));
    } else {
      return error(given.line, "a dict has no such method");
    }
  }
  if (op != Method::kKeys && op != Method::kValues && op != Method::kItems) {
    return error(given.line, "a dict has no such method");
  }
  return make_list(std::move(list), false, given.line);
}

Result<Value> Interpreter::list_method(Method op, const List& list, const Arguments& given) {
  if ((op != Method::kCount && op != Method::kIndex) || !given.get(0)) {
    return error(given.line, "a list has no such method");
  }
  std::int64_t count = 0;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    THAW_TRY(same, equal(list.items[i], *given.get(0), given.line));
    if (same && op == Method::kIndex) return Value(static_cast<std::int64_t>(i));
    count += same ? 1 : 0;
  }
  if (op == Method::kIndex) return error(given.line, "index found nothing");
  return Value(count);
}

}  // namespace thaw::text::jinja
