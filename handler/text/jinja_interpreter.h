// Runs a checked template. One use, one thread; every step, byte and level of recursion is counted
// against a limit, so that no template and no conversation can hang or exhaust its host.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "handler/text/jinja_ast.h"
#include "handler/text/jinja_builtins.h"
#include "handler/text/jinja_value.h"

namespace thaw::text::jinja {

inline constexpr std::uint64_t kStepsMax = 8'000'000;      // about a second
inline constexpr std::uint64_t kWorkBytesMax = 256 << 20;  // of strings made on the way
inline constexpr std::size_t kOutputBytesMax = 32 << 20;   // five times Lambda's largest event
inline constexpr std::uint32_t kStackMax = 600;  // of evaluation: three trees of macros deep

// What one rendering may use up.
struct Limits {
  std::uint64_t steps = kStepsMax;
  std::uint64_t work_bytes = kWorkBytesMax;
};

class Interpreter {
 public:
  Interpreter(const Ast& ast, std::int64_t unix_seconds, Limits limits = {})
      : ast_(ast), unix_seconds_(unix_seconds), limits_(limits) {}

  void define(std::string_view name, Value value);
  // Errors: kInvalid, kLimit; kCorrupt where a statement stands for an expression.
  Result<Text> run();

 private:
  enum class Flow : std::uint8_t { kNext, kBreak, kContinue };
  struct Scope {
    Scope* parent = nullptr;
    std::vector<std::pair<std::uint32_t, Value>> names;
  };
  // What a filter, test or method was given, by parameter.
  struct Arguments {
    std::vector<std::optional<Value>> slots;
    std::uint32_t line = 0;

    const Value* get(std::size_t slot) const {
      return slot < slots.size() && slots[slot] ? &*slots[slot] : nullptr;
    }
    bool truthy(std::size_t slot) const { return get(slot) && truth(*get(slot)); }
  };
  class Level;

  // Statements and the core of expressions (jinja_interpreter.cc, jinja_evaluate.cc).
  Result<Flow> execute(std::uint32_t index);
  Result<Flow> execute_sequence(const Node& node);
  Result<Flow> execute_if(const Node& node);
  Result<Flow> execute_for(const Node& node);
  Result<Value::Lists> loop_items(const Node& node);
  Result<Done> bind_names(const Node& node, const Value& value);
  Result<Flow> execute_with(const Node& node);
  Result<Done> execute_set_attribute(const Node& node);
  Result<Done> output(const Value& value, std::uint32_t line);
  Result<Text> capture(std::uint32_t body, Scope& scope);

  Result<Value> evaluate(std::uint32_t index);
  Result<Value> evaluate_optional(std::uint32_t index);  // none where it is absent
  Result<Value> constant(const Node& node);
  Result<Value> name(const Node& node);
  Result<Value> sequence(const Node& node);
  Result<Value> dict(const Node& node);
  Result<Value> attribute(const Value& object, std::string_view key, std::uint32_t string,
                          std::uint32_t line);
  Result<Value> loop_attribute(const Loop& loop, std::string_view key);
  Result<Value> item(const Value& object, const Value& key, std::uint32_t line);
  Result<Value> slice(const Node& node);
  Result<Value> sign(const Node& node);
  Result<Value> compare(const Node& node);
  Result<Value> conditional(const Node& node);
  Result<Value> call(const Node& node);
  Result<Value> call_macro(const Node& macro, const Node& call);
  Result<Value> call_function(Function function, const Node& call);
  Result<Value> make_names(Function function, const Node& call);
  Result<Value> range(const std::vector<Value>& given, std::uint32_t line);
  Result<Value> time_now(const Value& format, std::uint32_t line);
  Result<Arguments> collect(const Node& node);

  // Operators (jinja_operators.cc).
  Result<Value> binary(const Node& node);
  Result<Value> arithmetic(Binary op, const Value& left, const Value& right, std::uint32_t line);
  Result<Value> integer_arithmetic(Binary op, std::int64_t left, std::int64_t right,
                                   std::uint32_t line);
  Result<Value> add(const Value& left, const Value& right, std::uint32_t line);
  Result<Value> repeat(const Value& value, std::int64_t times, std::uint32_t line);
  Result<Value> format(const Text& format, const std::vector<Value>& values, std::uint32_t line);
  Result<bool> equal(const Value& left, const Value& right, std::uint32_t line);
  // Negative, zero or positive, as Python orders them.
  Result<int> order(const Value& left, const Value& right, std::uint32_t line);
  Result<bool> contains(const Value& container, const Value& item, std::uint32_t line);
  Result<bool> holds(Comparison op, const Value& left, const Value& right, std::uint32_t line);

  // Filters, tests, methods (jinja_filters.cc, jinja_sequences.cc, jinja_tests.cc,
  // jinja_methods.cc).
  Result<Value> filter(Filter op, const Value& value, const Arguments& given);
  Result<Value> text_filter(Filter op, const Value& value, const Arguments& given);
  Result<Value> number_filter(Filter op, const Value& value, const Arguments& given);
  Result<Value> sequence_filter(Filter op, const Value& value, const Arguments& given);
  Result<Value> join(const Value& value, const Arguments& given);
  Result<Value> indent(const Text& text, const Arguments& given);
  Result<Value> map(Filter op, const Value& value, const Arguments& given);
  Result<Value> select(Filter op, const Value& value, const Arguments& given);
  Result<Value> sort(const Value& value, const Arguments& given);
  Result<Value> dictsort(const Value& value, const Arguments& given);
  Result<Value> extreme(bool largest, const Value& value, const Arguments& given);
  Result<Value> unique(const Value& value, const Arguments& given);
  Result<Value> sum(const Value& value, const Arguments& given);
  Result<Value> path(const Value& value, const Value& path, std::uint32_t line);
  Result<Value> sort_key(const Value& value, const Value* attribute, bool case_sensitive,
                         std::uint32_t line);
  // A stable merge sort whose comparisons may fail.
  Result<Done> sort_by_keys(std::vector<std::pair<Value, Value>>& keyed, bool reverse,
                            std::uint32_t line);
  Result<bool> test(Test op, const Value& value, const Arguments& given);
  Result<Value> method(const Node& node);
  Result<Value> text_method(Method op, const Text& text, const Arguments& given);
  Result<Value> text_search(Method op, const Text& text, const Arguments& given);
  Result<Value> dict_method(Method op, const Dict& dict, const Arguments& given);
  Result<Value> list_method(Method op, const List& list, const Arguments& given);

  // Values to text and back (jinja_convert.cc).
  struct Json;
  Result<Text> text_of(const Value& value, std::uint32_t line);  // Python's str()
  Result<Done> append_repr(Text& to, const Value& value, std::uint32_t line);
  Result<Value> to_json(const Value& value, const Arguments& given);
  Result<Done> append_json(Text& to, const Value& value, const Json& style, std::uint32_t level);
  Result<Value::Lists> list_of(const Value& value, std::uint32_t line);  // Python's list()
  Result<Value> make_list(std::vector<Value> items, bool is_tuple, std::uint32_t line);
  Result<Value> make_dict(std::vector<std::pair<Value, Value>> items, std::uint32_t line);
  Result<Value> make_text(Text text, std::uint32_t line);
  Result<const Text*> want_text(const Value* value, std::string_view what, std::uint32_t line);
  Result<std::int64_t> want_integer(const Value* value, std::string_view what, std::uint32_t line);

  Error error(std::uint32_t line, std::string_view what, Code code = Code::kInvalid) const;
  Error undefined_error(const Undefined& undefined, std::uint32_t line) const;
  Error type_error(std::uint32_t line, std::string_view what, const Value& value) const;
  Result<Done> charge(std::uint64_t steps, std::uint64_t bytes, std::uint32_t line);
  const Value* look_up(std::uint32_t name) const;
  void set_name(std::uint32_t name, Value value);

  const Ast& ast_;
  std::int64_t unix_seconds_;
  Limits limits_;
  std::uint64_t steps_ = 0;
  std::uint64_t work_bytes_ = 0;
  std::uint32_t level_ = 0;
  std::vector<std::pair<std::string, Value>> globals_;
  Scope root_;
  Scope* scope_ = &root_;
  Text* out_ = nullptr;
  std::deque<Namespace> namespaces_;  // values point into these
  std::deque<Loop> loop_states_;
};

}  // namespace thaw::text::jinja
