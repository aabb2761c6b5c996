// Expressions: names, literals, attributes, items, calls.
#include <bit>
#include <ctime>

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

Result<Value> Interpreter::call(const Node& node) {
  const std::string_view name = ast_.string(node.a);
  if (const Value* named = look_up(node.a)) {
    if (named->macro() == nullptr) {
      return error(node.line, cat("'", name.substr(0, 64), "' can't be called"));
    }
    return call_macro(ast_.node(named->macro()->node), node);
  }
  const auto function = find(functions(), name);
  if (!function) return error(node.line, cat("'", name.substr(0, 64), "' is undefined"));
  return call_function(static_cast<Function>(function->op), node);
}

Result<Value> Interpreter::call_macro(const Node& macro, const Node& call) {
  const Level level(level_);
  if (level.too_deep()) return error(call.line, "macros nested too deep", Code::kLimit);
  Scope scope{&root_, {}};
  const std::uint32_t parameters = macro.count / 2;
  std::vector<bool> given(parameters);
  std::uint32_t position = 0;
  for (std::uint32_t i = 0; i + 1 < call.count; i += 2) {
    const std::uint32_t keyword = ast_.entry(call, i);
    std::uint32_t slot = position;
    if (keyword == kAbsent) {
      ++position;
    } else {
      slot = 0;
      while (slot < parameters && ast_.entry(macro, slot * 2) != keyword) ++slot;
    }
    if (slot >= parameters || given[slot]) {
      return error(call.line, cat("'", ast_.string(macro.a).substr(0, 64), "' takes ", parameters,
                                  " arguments, each once"));
    }
    THAW_TRY(value, evaluate(ast_.entry(call, i + 1)));
    scope.names.emplace_back(ast_.entry(macro, slot * 2), std::move(value));
    given[slot] = true;
  }
  Scope* const outside = std::exchange(scope_, &scope);
  for (std::uint32_t slot = 0; slot < parameters; ++slot) {
    if (given[slot]) continue;
    const std::uint32_t otherwise = ast_.entry(macro, slot * 2 + 1);
    Result<Value> value =
        otherwise == kAbsent ? Value(Undefined{ast_.entry(macro, slot * 2)}) : evaluate(otherwise);
    if (!value.has_value()) {
      scope_ = outside;
      return value;
    }
    set_name(ast_.entry(macro, slot * 2), *std::move(value));
  }
  scope_ = outside;
  THAW_TRY(text, capture(macro.b, scope));
  return make_text(std::move(text), call.line);
}

Result<Value> Interpreter::call_function(Function function, const Node& call) {
  if (function == Function::kDict || function == Function::kNamespace) {
    return make_names(function, call);
  }
  std::vector<Value> given;
  for (std::uint32_t i = 0; i + 1 < call.count; i += 2) {
    THAW_TRY(value, evaluate(ast_.entry(call, i + 1)));
    given.push_back(std::move(value));
  }
  if (given.empty()) return error(call.line, "an argument is missing");
  if (function == Function::kRange) return range(given, call.line);
  if (function == Function::kStrftimeNow) return time_now(given.front(), call.line);
  // raise_exception: what users wrote stays out of the message.
  THAW_TRY(message, text_of(given.front(), call.line));
  std::string said;
  for (std::size_t run = 0; run < message.runs().size() && said.size() < 512; ++run) {
    said += message.runs()[run].is_special ? message.run_bytes(run).substr(0, 512) : "...";
  }
  for (char& c : said) c = static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return error(call.line, cat("the template refuses: ", said));
}

// dict(...) and namespace(...): a dict to begin with, perhaps, then keywords.
Result<Value> Interpreter::make_names(Function function, const Node& call) {
  std::vector<std::pair<Value, Value>> items;
  for (std::uint32_t i = 0; i + 1 < call.count; i += 2) {
    const std::uint32_t keyword = ast_.entry(call, i);
    THAW_TRY(value, evaluate(ast_.entry(call, i + 1)));
    if (keyword != kAbsent) {
      items.emplace_back(Value(Text(ast_.string(keyword), true)), std::move(value));
    } else if (const Dict* from = value.dict()) {
      items.insert(items.end(), from->items.begin(), from->items.end());
    } else {
      return type_error(call.line, "wanted a dict or keywords", value);
    }
  }
  if (function == Function::kDict) return make_dict(std::move(items), call.line);
  THAW_TRY_DO(charge(4 * items.size() + 4, 0, call.line));
  Namespace& names = namespaces_.emplace_back();
  for (auto& [key, value] : items) {
    if (!key.text()) return type_error(call.line, "a namespace wants names", key);
    names.set(key.text()->view(), std::move(value));
  }
  return Value(&names);
}

Result<Value> Interpreter::range(const std::vector<Value>& given, std::uint32_t line) {
  if (given.size() > 3) return error(line, "range takes one to three integers");
  std::int64_t bounds[3] = {0, 0, 1};
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!is_integer(given[i])) return type_error(line, "range wants integers", given[i]);
    bounds[given.size() == 1 ? 1 : i] = integer_of(given[i]);
  }
  const auto [start, stop, step] = bounds;
  if (step == 0) return error(line, "range's step is 0");
  std::vector<Value> items;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    THAW_TRY_DO(charge(1, 0, line));
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return make_list(std::move(items), false, line);
}

Result<Value> Interpreter::time_now(const Value& format, std::uint32_t line) {
  THAW_TRY(text, want_text(&format, "strftime_now wants a format", line));
  if (unsupported_time_format(text->view())) {
    return error(line, "a time format that is not supported");
  }
  const std::time_t seconds = unix_seconds_;
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return error(line, "a time that no calendar has");
  std::string out;
  const std::string_view all = text->view();
  for (std::size_t at = 0; at < all.size();) {
    if (all[at] != '%') {
      out.push_back(all[at++]);
      continue;
    }
    const std::size_t length = all[at + 1] == '-' ? 3 : 2;
    char written[64];
    out.append(written, std::strftime(written, sizeof written,
                                      std::string(all.substr(at, length)).c_str(), &parts));
    at += length;
  }
  return make_text(Text(out, true), line);
}

}  // namespace thaw::text::jinja
