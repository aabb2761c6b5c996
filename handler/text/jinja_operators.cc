// Arithmetic, comparison, membership, formatting.
#include <cmath>
#include <limits>

#include "base/str.h"
#include "handler/text/jinja_level.h"

namespace thaw::text::jinja {

Result<Value> Interpreter::binary(const Node& node) {
  const auto op = static_cast<Binary>(node.op);
  THAW_TRY(left, evaluate(node.a));
  if (op == Binary::kOr) {
    if (truth(left)) return left;
    return evaluate(node.b);
  }
  if (op == Binary::kAnd) {
    if (!truth(left)) return left;
    return evaluate(node.b);
  }
  THAW_TRY(right, evaluate(node.b));
  if (op == Binary::kConcatenate) {
    THAW_TRY(first, text_of(left, node.line));
    THAW_TRY(second, text_of(right, node.line));
    first.append(second);
    return make_text(std::move(first), node.line);
  }
  return arithmetic(op, left, right, node.line);
}

Result<Value> Interpreter::arithmetic(Binary op, const Value& left, const Value& right,
                                      std::uint32_t line) {
  if (op == Binary::kModulo && left.text()) {
    const List* list = right.list();
    if (list && list->is_tuple) return format(*left.text(), list->items, line);
    return format(*left.text(), {right}, line);
  }
  if (is_integer(left) && is_integer(right)) {
    return integer_arithmetic(op, integer_of(left), integer_of(right), line);
  }
  if (is_number(left) && is_number(right)) {
    const double a = number_of(left);
    const double b = number_of(right);
    const bool divides =
        op == Binary::kDivide || op == Binary::kFloorDivide || op == Binary::kModulo;
    if (divides && b == 0) return error(line, "division by zero");
    switch (op) {
      case Binary::kAdd: return Value(a + b);
      case Binary::kSubtract: return Value(a - b);
      case Binary::kMultiply: return Value(a * b);
      case Binary::kDivide: return Value(a / b);
      case Binary::kFloorDivide: return Value(std::floor(a / b));
      case Binary::kModulo: {
        const double rest = std::fmod(a, b);
        return Value(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
      }
      case Binary::kPower: return Value(std::pow(a, b));
      default: break;
    }
  }
  if (op == Binary::kAdd) return add(left, right, line);
  if (op == Binary::kMultiply && is_integer(right)) return repeat(left, integer_of(right), line);
  if (op == Binary::kMultiply && is_integer(left)) return repeat(right, integer_of(left), line);
  return type_error(line, "arithmetic wants numbers", is_number(left) ? right : left);
}

Result<Value> Interpreter::integer_arithmetic(Binary op, std::int64_t left, std::int64_t right,
                                              std::uint32_t line) {
  std::int64_t value = 0;
  bool overflows = false;
  const bool divides = op == Binary::kDivide || op == Binary::kFloorDivide || op == Binary::kModulo;
  if (divides && right == 0) return error(line, "division by zero");
  switch (op) {
    case Binary::kAdd: overflows = __builtin_add_overflow(left, right, &value); break;
    case Binary::kSubtract: overflows = __builtin_sub_overflow(left, right, &value); break;
    case Binary::kMultiply: overflows = __builtin_mul_overflow(left, right, &value); break;
    case Binary::kDivide: return Value(static_cast<double>(left) / static_cast<double>(right));
    case Binary::kFloorDivide:
      if (right == -1) return integer_arithmetic(Binary::kSubtract, 0, left, line);
      value = left / right - ((left % right != 0) && ((left < 0) != (right < 0)) ? 1 : 0);
      break;
    case Binary::kModulo:
      if (right == -1) return Value(std::int64_t{0});
      value = left % right;
      if (value != 0 && (value < 0) != (right < 0)) value += right;
      break;
    case Binary::kPower:
      if (right < 0) {
        return Value(std::pow(static_cast<double>(left), static_cast<double>(right)));
      }
      value = 1;
      for (std::int64_t i = 0; i < right && !overflows && left != 1; ++i) {
        if (left == 0 || left == -1) {  // no overflow would end this
          value = left == 0 ? 0 : (right % 2 == 0 ? 1 : -1);
          break;
        }
        overflows = __builtin_mul_overflow(value, left, &value);
      }
      break;
    default: return error(line, "an unknown operation", Code::kCorrupt);
  }
  if (overflows) return error(line, "a number beyond 64 bits");
  return Value(value);
}

Result<Value> Interpreter::add(const Value& left, const Value& right, std::uint32_t line) {
  if (left.text() && right.text()) {
    THAW_TRY_DO(charge(0, left.text()->size() + right.text()->size(), line));
    Text joined = *left.text();
    joined.append(*right.text());
    return Value(std::move(joined));
  }
  if (left.list() && right.list() && left.list()->is_tuple == right.list()->is_tuple) {
    std::vector<Value> items = left.list()->items;
    items.insert(items.end(), right.list()->items.begin(), right.list()->items.end());
    return make_list(std::move(items), left.list()->is_tuple, line);
  }
  if (left.is_undefined() || right.is_undefined()) {
    return type_error(line, "", left.is_undefined() ? left : right);
  }
  return error(line, cat("can't add ", type_name(left), " and ", type_name(right)));
}

Result<Value> Interpreter::repeat(const Value& value, std::int64_t times, std::uint32_t line) {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(times, 0));
  if (const Text* text = value.text()) {
    // Charged before it is made: the product may be far beyond any memory.
    const auto bytes = checked_mul(text->size(), count);
    THAW_TRY_DO(charge(count, bytes.value_or(kWorkBytesMax + 1), line));
    Text repeated;
    for (std::uint64_t i = 0; i < count && !text->empty(); ++i) repeated.append(*text);
    return Value(std::move(repeated));
  }
  if (const List* list = value.list()) {
    const auto items = checked_mul(list->items.size(), count);
    THAW_TRY_DO(charge(items.value_or(kStepsMax + 1), 0, line));
    std::vector<Value> repeated;
    for (std::uint64_t i = 0; i < count && !list->items.empty(); ++i) {
      repeated.insert(repeated.end(), list->items.begin(), list->items.end());
    }
    return make_list(std::move(repeated), list->is_tuple, line);
  }
  return type_error(line, "can't multiply", value);
}

Result<Value> Interpreter::format(const Text& format, const std::vector<Value>& values,
                                  std::uint32_t line) {
  if (const auto bad = unsupported_format(format.view())) {
    return error(line, "a format specifier that is not supported");
  }
  Text out;
  std::size_t used = 0;
  std::size_t at = 0;
  const std::string_view all = format.view();
  for (std::size_t next = all.find('%'); next != std::string_view::npos; next = all.find('%', at)) {
    out.append(format, at, next);
    at = next + 2;
    if (all[next + 1] == '%') {
      out.append(format, next, next + 1);
      continue;
    }
    if (used >= values.size()) return error(line, "fewer values than the format wants");
    const Value& value = values[used++];
    const char kind = all[next + 1];
    if (kind == 'r') {
      THAW_TRY_DO(append_repr(out, value, line));
    } else if (kind == 's') {
      THAW_TRY(text, text_of(value, line));
      out.append(text);
    } else {
      if (!is_number(value)) return type_error(line, "'%d' wants a number", value);
      const double number = number_of(value);
      if (!(std::abs(number) < 9e18)) return error(line, "a number beyond 64 bits");
      const auto whole = is_integer(value) ? integer_of(value) : static_cast<std::int64_t>(number);
      out.append(cat(whole), true);
    }
  }
  if (used != values.size()) return error(line, "more values than the format wants");
  out.append(format, at, format.size());
  return make_text(std::move(out), line);
}

Result<bool> Interpreter::equal(const Value& left, const Value& right, std::uint32_t line) {
  const Text* a = left.text();
  const Text* b = right.text();
  THAW_TRY_DO(charge(1 + (a && b ? a->size() / 64 : 0), 0, line));
  if (a || b) return a && b && a->view() == b->view();
  if (is_integer(left) && is_integer(right)) return integer_of(left) == integer_of(right);
  if (is_number(left) && is_number(right)) return number_of(left) == number_of(right);
  if (left.list() && right.list()) {
    const List& first = *left.list();
    const List& second = *right.list();
    if (first.is_tuple != second.is_tuple || first.items.size() != second.items.size()) {
      return false;
    }
    for (std::size_t i = 0; i < first.items.size(); ++i) {
      THAW_TRY(same, equal(first.items[i], second.items[i], line));
      if (!same) return false;
    }
    return true;
  }
  if (left.dict() && right.dict()) {
    if (left.dict()->items.size() != right.dict()->items.size()) return false;
    for (const auto& [key, value] : left.dict()->items) {
      THAW_TRY(other, item(right, key, line));
      THAW_TRY(same, equal(value, other, line));
      if (!same || (other.is_undefined() && !value.is_undefined())) return false;
    }
    return true;
  }
  if (left.is_undefined() || left.is_none()) {
    return left.is_undefined() == right.is_undefined() && left.is_none() == right.is_none();
  }
  if (left.names()) return left.names() == right.names();
  if (left.loop()) return left.loop() == right.loop();
  return left.macro() && right.macro() && left.macro()->node == right.macro()->node;
}

Result<int> Interpreter::order(const Value& left, const Value& right, std::uint32_t line) {
  const Text* a = left.text();
  const Text* b = right.text();
  THAW_TRY_DO(charge(1 + (a && b ? a->size() / 64 : 0), 0, line));
  if (a && b) return a->view().compare(b->view());  // UTF-8 sorts as its characters do
  if (is_integer(left) && is_integer(right)) {
    return (integer_of(left) > integer_of(right)) - (integer_of(left) < integer_of(right));
  }
  if (is_number(left) && is_number(right)) {
    return (number_of(left) > number_of(right)) - (number_of(left) < number_of(right));
  }
  const List* first = left.list();
  const List* second = right.list();
  if (first && second && first->is_tuple == second->is_tuple) {
    for (std::size_t i = 0; i < std::min(first->items.size(), second->items.size()); ++i) {
      THAW_TRY(same, equal(first->items[i], second->items[i], line));
      if (!same) return order(first->items[i], second->items[i], line);
    }
    return (first->items.size() > second->items.size()) -
           (first->items.size() < second->items.size());
  }
  if (left.is_undefined() || right.is_undefined()) {
    return type_error(line, "", left.is_undefined() ? left : right);
  }
  return error(line, cat("can't order ", type_name(left), " and ", type_name(right)));
}

Result<bool> Interpreter::contains(const Value& container, const Value& item, std::uint32_t line) {
  if (const Text* text = container.text()) {
    if (!item.text()) return type_error(line, "'in' a string wants a string", item);
    THAW_TRY_DO(charge(text->size() / 64, 0, line));
    return text->view().find(item.text()->view()) != std::string_view::npos;
  }
  if (const List* list = container.list()) {
    for (const Value& each : list->items) {
      THAW_TRY(same, equal(each, item, line));
      if (same) return true;
    }
    return false;
  }
  if (const Dict* dict = container.dict()) {
    for (const auto& [key, value] : dict->items) {
      THAW_TRY(same, equal(key, item, line));
      if (same) return true;
    }
    return false;
  }
  if (container.is_undefined()) return false;  // it goes over nothing
  return type_error(line, "'in' wants a container", container);
}

Result<bool> Interpreter::holds(Comparison op, const Value& left, const Value& right,
                                std::uint32_t line) {
  if (op == Comparison::kEqual || op == Comparison::kNotEqual) {
    THAW_TRY(same, equal(left, right, line));
    return same == (op == Comparison::kEqual);
  }
  if (op == Comparison::kIn || op == Comparison::kNotIn) {
    THAW_TRY(found, contains(right, left, line));
    return found == (op == Comparison::kIn);
  }
  const bool ordered =
      !(left.real() && std::isnan(*left.real())) && !(right.real() && std::isnan(*right.real()));
  THAW_TRY(sign, order(left, right, line));
  switch (op) {
    case Comparison::kLess: return ordered && sign < 0;
    case Comparison::kLessEqual: return ordered && sign <= 0;
    case Comparison::kGreater: return ordered && sign > 0;
    case Comparison::kGreaterEqual: return ordered && sign >= 0;
    default: return error(line, "an unknown comparison", Code::kCorrupt);
  }
}

}  // namespace thaw::text::jinja
