// Filters on sequences.
#include <algorithm>

#include "base/str.h"
#include "handler/text/jinja_interpreter.h"

namespace thaw::text::jinja {
namespace {

// A sort's key beside its value.
using Keyed = std::vector<std::pair<Value, Value>>;

Value first_of(const std::vector<Value>& items) { return items.empty() ? Value() : items.front(); }

}  // namespace

Result<Value> Interpreter::sequence_filter(Filter op, const Value& value, const Arguments& given) {
  switch (op) {
    case Filter::kLength: {
      if (const Text* text = value.text()) {
        THAW_TRY_DO(charge(text->size() / 64, 0, given.line));
        return Value(static_cast<std::int64_t>(count_characters(text->view())));
      }
      if (const List* list = value.list()) {
        return Value(static_cast<std::int64_t>(list->items.size()));
      }
      if (const Dict* dict = value.dict()) {
        return Value(static_cast<std::int64_t>(dict->items.size()));
      }
      if (value.is_undefined()) return Value(std::int64_t{0});
      return type_error(given.line, "length wants a string or sequence", value);
    }
    case Filter::kItems: {
      if (value.is_undefined()) return make_list({}, false, given.line);
      if (!value.dict()) return type_error(given.line, "items wants a dict", value);
      return dict_method(Method::kItems, *value.dict(), given);
    }
    case Filter::kJoin: return join(value, given);
    case Filter::kMap:
    case Filter::kMapAttribute: return map(op, value, given);
    case Filter::kSelect:
    case Filter::kReject:
    case Filter::kSelectattr:
    case Filter::kRejectattr: return select(op, value, given);
    case Filter::kSort: return sort(value, given);
    case Filter::kDictsort: return dictsort(value, given);
    case Filter::kMax:
    case Filter::kMin: return extreme(op == Filter::kMax, value, given);
    case Filter::kUnique: return unique(value, given);
    case Filter::kSum: return sum(value, given);
    default: break;
  }
  THAW_TRY(list, list_of(value, given.line));
  std::vector<Value> items = list->items;
  if (op == Filter::kFirst) return first_of(items);
  std::reverse(items.begin(), items.end());
  if (op == Filter::kLast) return first_of(items);
  if (op == Filter::kReverse && value.text()) {
    Text reversed;
    for (const Value& item : items) reversed.append(*item.text());
    return make_text(std::move(reversed), given.line);
  }
  if (op == Filter::kList) std::reverse(items.begin(), items.end());
  return make_list(std::move(items), false, given.line);
}

Result<Value> Interpreter::join(const Value& value, const Arguments& given) {
  THAW_TRY(list, list_of(value, given.line));
  Text separator;
  if (given.get(0)) {
    THAW_TRY(text, text_of(*given.get(0), given.line));
    separator = std::move(text);
  }
  Text joined;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    Value item = list->items[i];
    if (given.get(1) && !given.get(1)->is_none()) {
      THAW_TRY(found, path(item, *given.get(1), given.line));
      item = found;
    }
    THAW_TRY(text, text_of(item, given.line));
    THAW_TRY_DO(charge(1, separator.size(), given.line));
    if (i > 0) joined.append(separator);
    joined.append(text);
  }
  return make_text(std::move(joined), given.line);
}

// What "a.b.0" names within a value, as Jinja's attribute= reads it.
Result<Value> Interpreter::path(const Value& value, const Value& path, std::uint32_t line) {
  if (is_integer(path)) return item(value, path, line);
  THAW_TRY(text, want_text(&path, "attribute= wants a name", line));
  Value found = value;
  for (const Text& part : split(*text, ".", -1, false)) {
    THAW_TRY_DO(charge(1, part.size(), line));
    const bool is_index = is_digits(part.view()) && part.size() < 10;
    Value key(part);
    if (is_index) {
      std::int64_t index = 0;
      for (const char c : part.view()) index = index * 10 + (c - '0');
      key = Value(index);
    }
    THAW_TRY(next, item(found, key, line));
    found = next;
  }
  return found;
}

Result<Value> Interpreter::map(Filter op, const Value& value, const Arguments& given) {
  THAW_TRY(list, list_of(value, given.line));
  std::vector<Value> mapped;
  if (op == Filter::kMapAttribute) {
    if (!given.get(0)) return error(given.line, "map wants an attribute");
    for (const Value& item : list->items) {
      THAW_TRY(found, path(item, *given.get(0), given.line));
      mapped.push_back(found.is_undefined() && given.get(1) ? *given.get(1) : found);
    }
    return make_list(std::move(mapped), false, given.line);
  }
  THAW_TRY(name, want_text(given.get(0), "map wants a filter's name", given.line));
  const auto signature = find(filters(), name->view());
  if (!signature) return error(given.line, "map was given no filter's name");
  Arguments inner;
  inner.line = given.line;
  inner.slots.assign(given.slots.begin() + 1, given.slots.end());
  if (!signature->takes_more) {
    if (inner.slots.size() > signature->count()) {
      return error(given.line, cat("too many arguments to the filter '", signature->name, "'"));
    }
    inner.slots.resize(signature->count());
  }
  if (++level_ > kStackMax) return error(given.line, "nested too deep", Code::kLimit);
  for (const Value& item : list->items) {
    THAW_TRY_DO(charge(1, 0, given.line));
    THAW_TRY(changed, filter(static_cast<Filter>(signature->op), item, inner));
    mapped.push_back(std::move(changed));
  }
  --level_;
  return make_list(std::move(mapped), false, given.line);
}

Result<Value> Interpreter::select(Filter op, const Value& value, const Arguments& given) {
  const bool by_attribute = op == Filter::kSelectattr || op == Filter::kRejectattr;
  const bool wanted = op == Filter::kSelect || op == Filter::kSelectattr;
  const std::size_t test_at = by_attribute ? 1 : 0;
  THAW_TRY(list, list_of(value, given.line));
  std::optional<Signature> signature;
  Arguments inner;
  inner.line = given.line;
  if (given.get(test_at)) {
    THAW_TRY(name, want_text(given.get(test_at), "a test's name is wanted", given.line));
    signature = find(tests(), name->view());
    if (!signature) return error(given.line, "there is no test of that name");
    inner.slots.assign(given.slots.begin() + static_cast<std::ptrdiff_t>(test_at) + 1,
                       given.slots.end());
    if (inner.slots.size() != signature->count()) {
      return error(given.line, cat("the test '", signature->name, "' takes ", signature->count(),
                                   " arguments, found ", inner.slots.size()));
    }
  }
  std::vector<Value> kept;
  for (const Value& each : list->items) {
    THAW_TRY_DO(charge(1, 0, given.line));
    Value tested = each;
    if (by_attribute && given.get(0)) {
      THAW_TRY(found, path(each, *given.get(0), given.line));
      tested = found;
    }
    bool good = truth(tested);
    if (signature) {
      THAW_TRY(passed, test(static_cast<Test>(signature->op), tested, inner));
      good = passed;
    }
    if (good == wanted) kept.push_back(each);
  }
  return make_list(std::move(kept), false, given.line);
}

Result<Value> Interpreter::sort_key(const Value& value, const Value* attribute, bool case_sensitive,
                                    std::uint32_t line) {
  Value key = value;
  if (attribute && !attribute->is_none()) {
    THAW_TRY(found, path(value, *attribute, line));
    key = found;
  }
  if (case_sensitive || !key.text()) return key;
  return make_text(change_case(*key.text(), Case::kLower), line);
}

Result<Done> Interpreter::sort_by_keys(Keyed& keyed, bool reverse, std::uint32_t line) {
  Keyed merged;
  for (std::size_t width = 1; width < keyed.size(); width *= 2) {
    merged.clear();
    for (std::size_t begin = 0; begin < keyed.size(); begin += 2 * width) {
      std::size_t left = begin;
      const std::size_t middle = std::min(begin + width, keyed.size());
      std::size_t right = middle;
      const std::size_t end = std::min(begin + 2 * width, keyed.size());
      while (left < middle && right < end) {
        THAW_TRY(sign, order(keyed[left].first, keyed[right].first, line));
        const bool takes_left = reverse ? sign >= 0 : sign <= 0;
        merged.push_back(keyed[takes_left ? left++ : right++]);
      }
      merged.insert(merged.end(), keyed.begin() + static_cast<std::ptrdiff_t>(left),
                    keyed.begin() + static_cast<std::ptrdiff_t>(middle));
      merged.insert(merged.end(), keyed.begin() + static_cast<std::ptrdiff_t>(right),
                    keyed.begin() + static_cast<std::ptrdiff_t>(end));
    }
    THAW_TRY_DO(charge(keyed.size(), 0, line));
    keyed.swap(merged);
  }
  return Done{};
}

Result<Value> Interpreter::sort(const Value& value, const Arguments& given) {
  THAW_TRY(list, list_of(value, given.line));
  Keyed keyed;
  for (const Value& item : list->items) {
    THAW_TRY(key, sort_key(item, given.get(2), given.truthy(1), given.line));
    keyed.emplace_back(std::move(key), item);
  }
  THAW_TRY_DO(sort_by_keys(keyed, given.truthy(0), given.line));
  std::vector<Value> sorted;
  for (const auto& [key, item] : keyed) sorted.push_back(item);
  return make_list(std::move(sorted), false, given.line);
}

Result<Value> Interpreter::dictsort(const Value& value, const Arguments& given) {
  if (!value.dict()) return type_error(given.line, "dictsort wants a dict", value);
  bool by_value = false;
  if (given.get(1)) {
    THAW_TRY(by, want_text(given.get(1), "dictsort's by is 'key' or 'value'", given.line));
    if (by->view() != "key" && by->view() != "value") {
      return error(given.line, "dictsort's by is 'key' or 'value'");
    }
    by_value = by->view() == "value";
  }
  Keyed keyed;
  for (const auto& [name, item] : value.dict()->items) {
    THAW_TRY(key, sort_key(by_value ? item : name, nullptr, given.truthy(0), given.line));
    THAW_TRY(pair, make_list({name, item}, true, given.line));
    keyed.emplace_back(std::move(key), std::move(pair));
  }
  THAW_TRY_DO(sort_by_keys(keyed, given.truthy(2), given.line));
  std::vector<Value> sorted;
  for (const auto& [key, pair] : keyed) sorted.push_back(pair);
  return make_list(std::move(sorted), false, given.line);
}

Result<Value> Interpreter::extreme(bool largest, const Value& value, const Arguments& given) {
  THAW_TRY(list, list_of(value, given.line));
  Value best;
  Value best_key;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    THAW_TRY(key, sort_key(list->items[i], given.get(1), given.truthy(0), given.line));
    if (i > 0) {
      THAW_TRY(sign, order(key, best_key, given.line));
      if (largest ? sign <= 0 : sign >= 0) continue;
    }
    best = list->items[i];
    best_key = key;
  }
  return best;
}

Result<Value> Interpreter::unique(const Value& value, const Arguments& given) {
  THAW_TRY(list, list_of(value, given.line));
  std::vector<Value> seen;
  std::vector<Value> kept;
  for (const Value& each : list->items) {
    THAW_TRY(key, sort_key(each, given.get(1), given.truthy(0), given.line));
    bool known = false;
    for (const Value& before : seen) {
      THAW_TRY(same, equal(before, key, given.line));
      known = known || same;
      if (known) break;
    }
    if (known) continue;
    seen.push_back(key);
    kept.push_back(each);
  }
  return make_list(std::move(kept), false, given.line);
}

Result<Value> Interpreter::sum(const Value& value, const Arguments& given) {
  THAW_TRY(list, list_of(value, given.line));
  Value total = given.get(1) ? *given.get(1) : Value(std::int64_t{0});
  for (const Value& each : list->items) {
    Value addend = each;
    if (given.get(0) && !given.get(0)->is_none()) {
      THAW_TRY(found, path(each, *given.get(0), given.line));
      addend = found;
    }
    THAW_TRY_DO(charge(1, 0, given.line));
    THAW_TRY(next, arithmetic(Binary::kAdd, total, addend, given.line));
    total = next;
  }
  return total;
}

}  // namespace thaw::text::jinja
