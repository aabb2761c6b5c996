// Expressions: names, literals, attributes, items.
#include <bit>

#include "base/str.h"
#include "handler/text/jinja_level.h"

namespace thaw::text::jinja {

Result<Value> Interpreter::evaluate(std::uint32_t index) {
  const Level level(level_);
  const Node node = ast_.node(index);
  if (level.too_deep()) return error(node.line, "nested too deep", Code::kLimit);
  THAW_TRY_DO(charge(1, 0, node.line));
  switch (node.kind) {
    case Kind::kNone:
    case Kind::kTrue:
    case Kind::kFalse:
    case Kind::kInteger:
    case Kind::kFloat:
    case Kind::kString: return constant(node);
    case Kind::kName: return name(node);
    case Kind::kList:
    case Kind::kTuple: return sequence(node);
    case Kind::kDict: return dict(node);
    case Kind::kAttribute: {
      THAW_TRY(object, evaluate(node.a));
      return attribute(object, ast_.string(node.b), node.b, node.line);
    }
    case Kind::kIndex: {
      THAW_TRY(object, evaluate(node.a));
      THAW_TRY(key, evaluate(node.b));
      return item(object, key, node.line);
    }
    case Kind::kSlice: return slice(node);
    case Kind::kNot: {
      THAW_TRY(value, evaluate(node.a));
      return Value(!truth(value));
    }
    case Kind::kNegate:
    case Kind::kPositive: return sign(node);
    case Kind::kBinary: return binary(node);
    case Kind::kCompare: return compare(node);
    case Kind::kConditional: return conditional(node);
    case Kind::kCall: return call(node);
    case Kind::kMethod: return method(node);
    case Kind::kFilter: {
      THAW_TRY(value, evaluate(node.a));
      THAW_TRY(given, collect(node));
      return filter(static_cast<Filter>(node.op), value, given);
    }
    case Kind::kTest: {
      THAW_TRY(value, evaluate(node.a));
      THAW_TRY(given, collect(node));
      THAW_TRY(holds, test(static_cast<Test>(node.op), value, given));
      return Value(holds);
    }
    case Kind::kCapture: {
      Scope scope{scope_, {}};
      THAW_TRY(text, capture(node.a, scope));
      return make_text(std::move(text), node.line);
    }
    default: return error(node.line, "a statement where an expression belongs", Code::kCorrupt);
  }
}

Result<Value> Interpreter::evaluate_optional(std::uint32_t index) {
  if (index == kAbsent) return Value(None{});
  return evaluate(index);
}

Result<Value> Interpreter::constant(const Node& node) {
  const std::uint64_t bits = node.a | std::uint64_t{node.b} << 32;
  switch (node.kind) {
    case Kind::kTrue: return Value(true);
    case Kind::kFalse: return Value(false);
    case Kind::kInteger: return Value(static_cast<std::int64_t>(bits));
    case Kind::kFloat: return Value(std::bit_cast<double>(bits));
    case Kind::kString: return make_text(Text(ast_.string(node.a), true), node.line);
    default: return Value(None{});
  }
}

Result<Value> Interpreter::name(const Node& node) {
  if (const Value* value = look_up(node.a)) return *value;
  if (find(functions(), ast_.string(node.a))) return Value(Builtin{});
  return Value(Undefined{node.a});
}

Result<Value> Interpreter::sequence(const Node& node) {
  std::vector<Value> items;
  for (std::uint32_t i = 0; i < node.count; ++i) {
    THAW_TRY(value, evaluate(ast_.entry(node, i)));
    items.push_back(std::move(value));
  }
  return make_list(std::move(items), node.kind == Kind::kTuple, node.line);
}

Result<Value> Interpreter::dict(const Node& node) {
  std::vector<std::pair<Value, Value>> items;
  for (std::uint32_t i = 0; i + 1 < node.count; i += 2) {
    THAW_TRY(key, evaluate(ast_.entry(node, i)));
    THAW_TRY(value, evaluate(ast_.entry(node, i + 1)));
    items.emplace_back(std::move(key), std::move(value));
  }
  return make_dict(std::move(items), node.line);
}

// `string` is the key where the template spells it, for the message of its undefined value.
Result<Value> Interpreter::attribute(const Value& object, std::string_view key,
                                     std::uint32_t string, std::uint32_t line) {
  if (const Undefined* undefined = object.undefined()) return undefined_error(*undefined, line);
  const Value missing(Undefined{string});
  if (const Dict* dict = object.dict()) {
    // Python finds the method first, which is never what a template means.
    if (key == "items" || key == "keys" || key == "values" || key == "get") {
      return error(line, cat("'.", key, "' without a call; write ['", key, "'] for the item"));
    }
    const Value* found = dict->find(key);
    return found ? *found : missing;
  }
  if (const Namespace* names = object.names()) {
    const Value* found = names->find(key);
    return found ? *found : missing;
  }
  if (const Loop* loop = object.loop()) return loop_attribute(*loop, key);
  return missing;
}

Result<Value> Interpreter::loop_attribute(const Loop& loop, std::string_view key) {
  const std::size_t length = loop.items ? loop.items->items.size() : loop.index;
  const auto index = static_cast<std::int64_t>(loop.index);
  const auto left = static_cast<std::int64_t>(length) - index;
  if (key == "index") return Value(index + 1);
  if (key == "index0") return Value(index);
  if (key == "revindex") return Value(left);
  if (key == "revindex0") return Value(left - 1);
  if (key == "first") return Value(index == 0);
  if (key == "last") return Value(left <= 1);
  if (key == "length") return Value(static_cast<std::int64_t>(length));
  if (key == "depth") return Value(std::int64_t{1});  // only recursive loops go deeper
  if (key == "depth0") return Value(std::int64_t{0});
  if (!loop.items) return Value();
  if (key == "previtem" && index > 0) return loop.items->items[loop.index - 1];
  if (key == "nextitem" && left > 1) return loop.items->items[loop.index + 1];
  return Value();
}

namespace {

// Python's index from either end; nothing where it is out of range.
std::optional<std::size_t> position(std::int64_t index, std::size_t size) {
  const auto signed_size = static_cast<std::int64_t>(size);
  if (index < 0) index += signed_size;
  if (index < 0 || index >= signed_size) return std::nullopt;
  return static_cast<std::size_t>(index);
}

// Where the characters of a string begin, its end included.
std::vector<std::size_t> boundaries(std::string_view bytes) {
  std::vector<std::size_t> at;
  for (std::size_t i = 0; i < bytes.size(); i += character_at(bytes, i).bytes) at.push_back(i);
  at.push_back(bytes.size());
  return at;
}

}  // namespace

Result<Value> Interpreter::item(const Value& object, const Value& key, std::uint32_t line) {
  if (const Undefined* undefined = object.undefined()) return undefined_error(*undefined, line);
  if (const Dict* dict = object.dict()) {
    for (const auto& [known, value] : dict->items) {
      THAW_TRY(same, equal(known, key, line));
      if (same) return value;
    }
    return Value();
  }
  if (is_integer(key)) {
    if (const List* list = object.list()) {
      const auto at = position(integer_of(key), list->items.size());
      return at ? list->items[*at] : Value();
    }
    if (const Text* text = object.text()) {
      THAW_TRY_DO(charge(text->size() / 16, 0, line));
      const std::vector<std::size_t> at = boundaries(text->view());
      const auto index = position(integer_of(key), at.size() - 1);
      if (!index) return Value();
      return make_text(text->slice(at[*index], at[*index + 1]), line);
    }
  }
  if (const Text* name = key.text()) {
    if (object.names() || object.loop()) return attribute(object, name->view(), kAbsent, line);
  }
  return Value();
}

Result<Value> Interpreter::slice(const Node& node) {
  THAW_TRY(object, evaluate(node.a));
  THAW_TRY(start_value, evaluate_optional(node.b));
  THAW_TRY(stop_value, evaluate_optional(node.c));
  THAW_TRY(step_value, evaluate_optional(node.d));
  const Text* text = object.text();
  const List* list = object.list();
  if (!text && !list) return type_error(node.line, "can't slice", object);
  for (const Value* bound : {&start_value, &stop_value, &step_value}) {
    if (!bound->is_none() && !is_integer(*bound)) {
      return type_error(node.line, "a slice wants integers", *bound);
    }
  }
  const std::int64_t step = step_value.is_none() ? 1 : integer_of(step_value);
  if (step == 0) return error(node.line, "a slice's step is 0");
  const std::vector<std::size_t> at = text ? boundaries(text->view()) : std::vector<std::size_t>{};
  const auto size = static_cast<std::int64_t>(text ? at.size() - 1 : list->items.size());
  THAW_TRY_DO(charge(static_cast<std::uint64_t>(size) / 4, 0, node.line));
  const auto clamp = [&](const Value& bound, std::int64_t otherwise) {
    if (bound.is_none()) return otherwise;
    std::int64_t index = integer_of(bound);
    if (index < 0) index = index < -size ? (step < 0 ? -1 : 0) : index + size;
    return std::min(index, step < 0 ? size - 1 : size);
  };
  const std::int64_t start = clamp(start_value, step < 0 ? size - 1 : 0);
  const std::int64_t stop = clamp(stop_value, step < 0 ? -1 : size);
  if (text && step == 1) {
    if (start >= stop) return Value(Text());
    return make_text(
        text->slice(at[static_cast<std::size_t>(start)], at[static_cast<std::size_t>(stop)]),
        node.line);
  }
  Text characters;
  std::vector<Value> items;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    const auto index = static_cast<std::size_t>(i);
    if (text)
      characters.append(*text, at[index], at[index + 1]);
    else
      items.push_back(list->items[index]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  if (text) return make_text(std::move(characters), node.line);
  return make_list(std::move(items), list->is_tuple, node.line);
}

Result<Value> Interpreter::sign(const Node& node) {
  THAW_TRY(value, evaluate(node.a));
  const bool negative = node.kind == Kind::kNegate;
  if (const double* real = value.real()) return Value(negative ? -*real : *real);
  if (!is_integer(value)) return type_error(node.line, "a sign wants a number", value);
  if (!negative) return Value(integer_of(value));
  return integer_arithmetic(Binary::kSubtract, 0, integer_of(value), node.line);
}

Result<Value> Interpreter::compare(const Node& node) {
  THAW_TRY(first, evaluate(node.a));
  Value left = first;
  for (std::uint32_t i = 0; i + 1 < node.count; i += 2) {
    THAW_TRY(right, evaluate(ast_.entry(node, i + 1)));
    THAW_TRY(good, holds(static_cast<Comparison>(ast_.entry(node, i)), left, right, node.line));
    if (!good) return Value(false);
    left = right;
  }
  return Value(true);
}

Result<Value> Interpreter::conditional(const Node& node) {
  THAW_TRY(condition, evaluate(node.a));
  if (truth(condition)) return evaluate(node.b);
  if (node.c == kAbsent) return Value();
  return evaluate(node.c);
}

Result<Interpreter::Arguments> Interpreter::collect(const Node& node) {
  Arguments given;
  given.line = node.line;
  for (std::uint32_t i = 0; i < node.count; ++i) {
    const std::uint32_t index = ast_.entry(node, i);
    if (index == kAbsent) {
      given.slots.emplace_back();
      continue;
    }
    THAW_TRY(value, evaluate(index));
    given.slots.emplace_back(std::move(value));
  }
  return given;
}

}  // namespace thaw::text::jinja
