// Statements, limits, scopes.
#include "handler/text/jinja_interpreter.h"

#include "base/str.h"
#include "handler/text/jinja_level.h"

namespace thaw::text::jinja {

Error Interpreter::error(std::uint32_t line, std::string_view what, Code code) const {
  return fail(code, cat("render chat template: line ", line, ": ", what));
}

Error Interpreter::undefined_error(const Undefined& undefined, std::uint32_t line) const {
  if (undefined.name == kAbsent) return error(line, "used a value that is undefined");
  return error(line, cat("'", ast_.string(undefined.name).substr(0, 64), "' is undefined"));
}

Error Interpreter::type_error(std::uint32_t line, std::string_view what, const Value& value) const {
  if (const Undefined* undefined = value.undefined()) return undefined_error(*undefined, line);
  return error(line, cat(what, ", found ", type_name(value)));
}

Result<Done> Interpreter::charge(std::uint64_t steps, std::uint64_t bytes, std::uint32_t line) {
  steps_ += steps;
  work_bytes_ += bytes;
  if (steps_ > limits_.steps) {
    return error(line, cat("more than ", limits_.steps, " steps, the limit"), Code::kLimit);
  }
  if (work_bytes_ > limits_.work_bytes) {
    return error(line, cat("more than ", limits_.work_bytes, " bytes of text made, the limit"),
                 Code::kLimit);
  }
  return Done{};
}

void Interpreter::define(std::string_view name, Value value) {
  globals_.emplace_back(std::string(name), std::move(value));
}

const Value* Interpreter::look_up(std::uint32_t name) const {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    for (const auto& [known, value] : scope->names) {
      if (known == name) return &value;
    }
  }
  return nullptr;
}

void Interpreter::set_name(std::uint32_t name, Value value) {
  for (auto& [known, old] : scope_->names) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  scope_->names.emplace_back(name, std::move(value));
}

Result<Text> Interpreter::run() {
  for (auto& [name, value] : globals_) {
    const std::uint32_t string = ast_.find_string(name);
    if (string != kAbsent) set_name(string, value);  // else the template never asks for it
  }
  Text out;
  out_ = &out;
  THAW_TRY_DO(execute(ast_.root()));
  return out;
}

Result<Interpreter::Flow> Interpreter::execute(std::uint32_t index) {
  const Level level(level_);
  const Node node = ast_.node(index);
  if (level.too_deep()) return error(node.line, "nested too deep", Code::kLimit);
  THAW_TRY_DO(charge(1, 0, node.line));
  switch (node.kind) {
    case Kind::kSequence: return execute_sequence(node);
    case Kind::kData:
      THAW_TRY_DO(output(Value(Text(ast_.string(node.a), true)), node.line));
      return Flow::kNext;
    case Kind::kOutput: {
      THAW_TRY(value, evaluate(node.a));
      THAW_TRY_DO(output(value, node.line));
      return Flow::kNext;
    }
    case Kind::kIf: return execute_if(node);
    case Kind::kFor: return execute_for(node);
    case Kind::kSet: {
      THAW_TRY(value, evaluate(node.a));
      THAW_TRY_DO(bind_names(node, value));
      return Flow::kNext;
    }
    case Kind::kSetAttribute: THAW_TRY_DO(execute_set_attribute(node)); return Flow::kNext;
    case Kind::kMacro: set_name(node.a, Value(Macro{index})); return Flow::kNext;
    case Kind::kWith: return execute_with(node);
    case Kind::kBreak: return Flow::kBreak;
    case Kind::kContinue: return Flow::kContinue;
    default: return error(node.line, "an expression where a statement belongs", Code::kCorrupt);
  }
}

Result<Interpreter::Flow> Interpreter::execute_sequence(const Node& node) {
  for (std::uint32_t i = 0; i < node.count; ++i) {
    THAW_TRY(flow, execute(ast_.entry(node, i)));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::execute_if(const Node& node) {
  for (std::uint32_t i = 0; i + 1 < node.count; i += 2) {
    THAW_TRY(condition, evaluate(ast_.entry(node, i)));
    if (truth(condition)) return execute(ast_.entry(node, i + 1));
  }
  if (node.a == kAbsent) return Flow::kNext;
  return execute(node.a);
}

Result<Done> Interpreter::bind_names(const Node& node, const Value& value) {
  if (node.count == 1) {
    set_name(ast_.entry(node, 0), value);
    return Done{};
  }
  THAW_TRY(items, list_of(value, node.line));
  if (items->items.size() != node.count) {
    return error(node.line, cat("unpacked ", items->items.size(), " values, wanted ", node.count));
  }
  for (std::uint32_t i = 0; i < node.count; ++i) {
    set_name(ast_.entry(node, i), items->items[i]);
  }
  return Done{};
}

// What a for block goes over: its filter, if any, has been applied.
Result<Value::Lists> Interpreter::loop_items(const Node& node) {
  THAW_TRY(iterable, evaluate(node.a));
  THAW_TRY(all, list_of(iterable, node.line));
  if (node.b == kAbsent) return all;
  auto kept = std::make_shared<List>();
  for (const Value& value : all->items) {
    Scope scope{scope_, {}};
    scope_ = &scope;
    Result<Value> condition = Value();
    Result<Done> bound = bind_names(node, value);
    if (bound.has_value()) condition = evaluate(node.b);
    scope_ = scope.parent;
    if (!bound.has_value()) return std::move(bound).error();
    THAW_TRY(chosen, std::move(condition));
    if (truth(chosen)) kept->items.push_back(value);
  }
  kept->nesting = all->nesting;
  return Value::Lists(std::move(kept));
}

Result<Interpreter::Flow> Interpreter::execute_for(const Node& node) {
  THAW_TRY(items, loop_items(node));
  if (items->items.empty()) {
    if (node.d == kAbsent) return Flow::kNext;
    Scope scope{scope_, {}};
    scope_ = &scope;
    Result<Flow> flow = execute(node.d);
    scope_ = scope.parent;
    return flow;
  }
  const std::uint32_t loop_name = ast_.find_string("loop");
  loop_states_.push_back({items, 0});
  Loop& loop = loop_states_.back();
  for (; loop.index < items->items.size(); ++loop.index) {
    THAW_TRY_DO(charge(1, 0, node.line));
    Scope scope{scope_, {}};
    scope_ = &scope;
    if (loop_name != kAbsent) set_name(loop_name, Value(&loop));
    Result<Flow> flow = Flow::kNext;
    Result<Done> bound = bind_names(node, items->items[loop.index]);
    if (bound.has_value()) flow = execute(node.c);
    scope_ = scope.parent;
    if (!bound.has_value()) return std::move(bound).error();
    THAW_TRY(next, std::move(flow));
    if (next == Flow::kBreak) break;
  }
  loop.items = nullptr;  // a template may keep `loop` itself, but not what it went over
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::execute_with(const Node& node) {
  Scope scope{scope_, {}};
  for (std::uint32_t i = 0; i + 1 < node.count; i += 2) {  // values see the names outside
    THAW_TRY(value, evaluate(ast_.entry(node, i + 1)));
    scope.names.emplace_back(ast_.entry(node, i), std::move(value));
  }
  scope_ = &scope;
  Result<Flow> flow = execute(node.a);
  scope_ = scope.parent;
  return flow;
}

Result<Done> Interpreter::execute_set_attribute(const Node& node) {
  const Value* object = look_up(node.a);
  if (object == nullptr || object->names() == nullptr) {
    return error(node.line, cat("'", ast_.string(node.a).substr(0, 64),
                                "' is no namespace: only a namespace's attributes can be set"));
  }
  Namespace* names = object->names();
  THAW_TRY(value, evaluate(node.c));
  names->set(ast_.string(node.b), value);
  return Done{};
}

Result<Done> Interpreter::output(const Value& value, std::uint32_t line) {
  THAW_TRY(text, text_of(value, line));
  THAW_TRY_DO(charge(0, text.size(), line));
  if (text.size() > kOutputBytesMax - out_->size()) {
    return error(line, cat("more than ", kOutputBytesMax, " bytes of output, the limit"),
                 Code::kLimit);
  }
  out_->append(text);
  return Done{};
}

// What `body` writes, in a scope of its own.
Result<Text> Interpreter::capture(std::uint32_t body, Scope& scope) {
  Text text;
  Text* const out = std::exchange(out_, &text);
  Scope* const outside = std::exchange(scope_, &scope);
  Result<Flow> flow = execute(body);
  scope_ = outside;
  out_ = out;
  if (!flow.has_value()) return std::move(flow).error();
  return text;
}

}  // namespace thaw::text::jinja
