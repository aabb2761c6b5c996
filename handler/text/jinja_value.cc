#include "handler/text/jinja_value.h"

#include <charconv>
#include <cmath>

#include "base/str.h"

namespace thaw::text::jinja {

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items) {
    if (name.text() && name.text()->view() == key) return &value;
  }
  return nullptr;
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [known, value] : items) {
    if (known == name) return &value;
  }
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [known, old] : items) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  items.emplace_back(std::string(name), std::move(value));
}

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (const bool* flag = value.flag()) return *flag;
  if (const auto* integer = value.integer()) return *integer != 0;
  if (const double* real = value.real()) return *real != 0;
  if (const Text* text = value.text()) return !text->empty();
  if (const List* list = value.list()) return !list->items.empty();
  if (const Dict* dict = value.dict()) return !dict->items.empty();
  return true;
}

std::uint32_t nesting_of(const Value& value) {
  if (const List* list = value.list()) return list->nesting;
  if (const Dict* dict = value.dict()) return dict->nesting;
  return 0;
}

std::string_view type_name(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.flag()) return "bool";
  if (value.integer()) return "int";
  if (value.real()) return "float";
  if (value.text()) return "str";
  if (value.list()) return value.list()->is_tuple ? "tuple" : "list";
  if (value.dict()) return "dict";
  if (value.names()) return "Namespace";
  if (value.loop()) return "LoopContext";
  return value.macro() ? "Macro" : "function";
}

bool is_integer(const Value& value) { return value.flag() || value.integer(); }
bool is_number(const Value& value) { return is_integer(value) || value.real(); }

std::int64_t integer_of(const Value& value) {
  if (const bool* flag = value.flag()) return *flag ? 1 : 0;
  return value.integer() ? *value.integer() : 0;
}

double number_of(const Value& value) {
  if (const double* real = value.real()) return *real;
  return static_cast<double>(integer_of(value));
}

std::string float_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char digits[40];
  const double size = std::abs(number);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto end = std::to_chars(digits, digits + sizeof digits, number,
                                 plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(digits, end.ptr);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

}  // namespace thaw::text::jinja
