// Values to text, to JSON, to lists; and the making of strings and containers within the limits.
#include <algorithm>
#include <cmath>

#include "base/str.h"
#include "handler/text/jinja_interpreter.h"

namespace thaw::text::jinja {

Result<Value> Interpreter::make_text(Text text, std::uint32_t line) {
  THAW_TRY_DO(charge(0, text.size(), line));
  return Value(std::move(text));
}

Result<Value> Interpreter::make_list(std::vector<Value> items, bool is_tuple, std::uint32_t line) {
  THAW_TRY_DO(charge(4 * items.size() + 1, 0, line));  // four, since an item weighs 24 bytes
  auto list = std::make_shared<List>();
  for (const Value& item : items) {
    list->nesting = std::max(list->nesting, nesting_of(item) + 1);
  }
  if (list->nesting > kNestingMax) {
    return error(line, cat("lists nested deeper than ", kNestingMax, ", the limit"), Code::kLimit);
  }
  list->items = std::move(items);
  list->is_tuple = is_tuple;
  return Value(Value::Lists(std::move(list)));
}

// A key that comes twice keeps its first place and takes its last value.
Result<Value> Interpreter::make_dict(std::vector<std::pair<Value, Value>> items,
                                     std::uint32_t line) {
  THAW_TRY_DO(charge(8 * items.size() + 1, 0, line));
  auto dict = std::make_shared<Dict>();
  for (auto& [key, value] : items) {
    if (!key.text() && !is_number(key) && !key.is_none()) {
      return type_error(line, "a dict's key is a string, a number or none", key);
    }
    dict->nesting = std::max(dict->nesting, nesting_of(value) + 1);
    bool known = false;
    for (auto& [before, old] : dict->items) {
      THAW_TRY(same, equal(before, key, line));
      if (same) old = value;
      known = known || same;
    }
    if (!known) dict->items.emplace_back(std::move(key), std::move(value));
  }
  if (dict->nesting > kNestingMax) {
    return error(line, cat("dicts nested deeper than ", kNestingMax, ", the limit"), Code::kLimit);
  }
  return Value(Value::Dicts(std::move(dict)));
}

Result<const Text*> Interpreter::want_text(const Value* value, std::string_view what,
                                           std::uint32_t line) {
  if (value == nullptr) return error(line, what);
  if (!value->text()) return type_error(line, what, *value);
  return value->text();
}

Result<std::int64_t> Interpreter::want_integer(const Value* value, std::string_view what,
                                               std::uint32_t line) {
  if (value == nullptr) return error(line, what);
  if (!is_integer(*value)) return type_error(line, what, *value);
  return integer_of(*value);
}

Result<Value::Lists> Interpreter::list_of(const Value& value, std::uint32_t line) {
  if (value.list()) return value.shared_list();
  std::vector<Value> items;
  if (const Dict* dict = value.dict()) {
    for (const auto& [key, unused] : dict->items) items.push_back(key);
  } else if (const Text* text = value.text()) {
    const std::string_view bytes = text->view();
    for (std::size_t at = 0; at < bytes.size();) {
      THAW_TRY_DO(charge(4, 0, line));  // before it is made: a string may be long
      const std::size_t length = character_at(bytes, at).bytes;
      items.emplace_back(text->slice(at, at + length));
      at += length;
    }
  } else if (!value.is_undefined()) {  // which goes over nothing
    return type_error(line, "can't go over the items of this", value);
  }
  THAW_TRY(list, make_list(std::move(items), false, line));
  return list.shared_list();
}

Result<Text> Interpreter::text_of(const Value& value, std::uint32_t line) {
  if (const Text* text = value.text()) {
    THAW_TRY_DO(charge(0, text->size(), line));
    return *text;
  }
  Text text;
  if (value.is_undefined()) return text;
  THAW_TRY_DO(append_repr(text, value, line));
  return text;
}

Result<Done> Interpreter::append_repr(Text& to, const Value& value, std::uint32_t line) {
  THAW_TRY_DO(charge(1, 0, line));
  if (const Text* text = value.text()) {
    THAW_TRY_DO(charge(0, text->size(), line));
    to.append(repr(*text));
  } else if (value.is_undefined()) {
    to.append("Undefined", true);
  } else if (value.is_none()) {
    to.append("None", true);
  } else if (const bool* flag = value.flag()) {
    to.append(*flag ? "True" : "False", true);
  } else if (const std::int64_t* integer = value.integer()) {
    to.append(cat(*integer), true);
  } else if (const double* real = value.real()) {
    to.append(float_text(*real), true);
  } else if (const List* list = value.list()) {
    to.append(list->is_tuple ? "(" : "[", true);
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      if (i > 0) to.append(", ", true);
      THAW_TRY_DO(append_repr(to, list->items[i], line));
    }
    if (list->is_tuple && list->items.size() == 1) to.append(",", true);
    to.append(list->is_tuple ? ")" : "]", true);
  } else if (const Dict* dict = value.dict()) {
    to.append("{", true);
    for (std::size_t i = 0; i < dict->items.size(); ++i) {
      if (i > 0) to.append(", ", true);
      THAW_TRY_DO(append_repr(to, dict->items[i].first, line));
      to.append(": ", true);
      THAW_TRY_DO(append_repr(to, dict->items[i].second, line));
    }
    to.append("}", true);
  } else {
    return type_error(line, "no text stands for this", value);
  }
  return Done{};
}

struct Interpreter::Json {
  bool ascii_only = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // of one level; none: all on one line
  Text item_separator{", ", true};
  Text key_separator{": ", true};
  std::uint32_t line = 0;

  void new_line(Text& to, std::uint32_t level) const {
    if (!indent) return;
    to.append("\n", true);
    for (std::uint32_t i = 0; i < level; ++i) to.append(*indent, true);
  }
};

// As transformers' tojson, which is Python's json.dumps without ASCII escapes.
Result<Value> Interpreter::to_json(const Value& value, const Arguments& given) {
  Json style;
  style.line = given.line;
  style.ascii_only = given.truthy(0);
  style.sort_keys = given.truthy(3);
  const Value* indent = given.get(1);
  if (indent && !indent->is_none()) {
    if (const Text* text = indent->text()) {
      style.indent = std::string(text->view().substr(0, 64));
    } else {
      THAW_TRY(width, want_integer(indent, "tojson's indent wants an integer", given.line));
      style.indent =
          std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(width, 0, 64)), ' ');
    }
    style.item_separator = Text(",", true);
  }
  const Value* separators = given.get(2);
  if (separators && !separators->is_none()) {
    const List* pair = separators->list();
    if (!pair || pair->items.size() != 2 || !pair->items[0].text() || !pair->items[1].text()) {
      return type_error(given.line, "tojson's separators want two strings", *separators);
    }
    style.item_separator = *pair->items[0].text();
    style.key_separator = *pair->items[1].text();
  }
  Text out;
  THAW_TRY_DO(append_json(out, value, style, 0));
  return make_text(std::move(out), given.line);
}

Result<Done> Interpreter::append_json(Text& to, const Value& value, const Json& style,
                                      std::uint32_t level) {
  THAW_TRY_DO(
      charge(1 + level, style.item_separator.size() + style.key_separator.size(), style.line));
  if (const Text* text = value.text()) {
    THAW_TRY_DO(charge(0, text->size(), style.line));
    to.append(json_string(*text, style.ascii_only));
  } else if (value.is_none()) {
    to.append("null", true);
  } else if (const bool* flag = value.flag()) {
    to.append(*flag ? "true" : "false", true);
  } else if (const double* real = value.real()) {
    const std::string plain = float_text(*real);
    to.append(std::isnan(*real)   ? "NaN"
              : std::isinf(*real) ? (*real < 0 ? "-Infinity" : "Infinity")
                                  : plain,
              true);
  } else if (value.integer()) {
    to.append(cat(*value.integer()), true);
  } else if (const List* list = value.list()) {
    to.append("[", true);
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      if (i > 0) to.append(style.item_separator);
      style.new_line(to, level + 1);
      THAW_TRY_DO(append_json(to, list->items[i], style, level + 1));
    }
    if (!list->items.empty()) style.new_line(to, level);
    to.append("]", true);
  } else if (const Dict* dict = value.dict()) {
    std::vector<std::pair<Value, Value>> items = dict->items;
    if (style.sort_keys) {
      for (auto& [key, item] : items)
        item = Value(Value::Lists(std::make_shared<List>(List{{key, item}, true, dict->nesting})));
      THAW_TRY_DO(sort_by_keys(items, false, style.line));
      for (auto& [key, item] : items) {
        const Value kept = item.list()->items[1];
        item = kept;
      }
    }
    to.append("{", true);
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) to.append(style.item_separator);
      style.new_line(to, level + 1);
      Text key;
      if (items[i].first.text())
        key = *items[i].first.text();
      else
        THAW_TRY_DO(append_json(key, items[i].first, style, level + 1));
      THAW_TRY_DO(charge(0, key.size(), style.line));
      to.append(json_string(key, style.ascii_only));
      to.append(style.key_separator);
      THAW_TRY_DO(append_json(to, items[i].second, style, level + 1));
    }
    if (!items.empty()) style.new_line(to, level);
    to.append("}", true);
  } else {
    return type_error(style.line, "tojson knows no such value", value);
  }
  return Done{};
}

}  // namespace thaw::text::jinja
