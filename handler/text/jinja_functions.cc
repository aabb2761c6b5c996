// Calls while a template runs: macros, and the functions that templates find defined.
#include <ctime>

#include "base/str.h"
#include "handler/text/jinja_level.h"

namespace thaw::text::jinja {

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
