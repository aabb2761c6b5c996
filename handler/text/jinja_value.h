// The values that a template computes with. Immutable, but for namespaces and loops, which the
// interpreter owns.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "handler/text/jinja_ast.h"
#include "handler/text/jinja_text.h"

namespace thaw::text::jinja {

inline constexpr std::uint32_t kNestingMax = 64;  // of lists in lists: bounds recursion over values

class Value;
struct List;
struct Dict;
struct Namespace;
struct Loop;

struct Undefined {
  std::uint32_t name = kAbsent;  // what was looked for, a string of the template
};
struct None {};
struct Macro {
  std::uint32_t node = 0;
};
// A function of the engine's own, as `range`: it can be called and looked at, no more.
struct Builtin {};

// Cheap to copy: strings and containers are shared, never changed.
class Value {
 public:
  using Strings = std::shared_ptr<const Text>;
  using Lists = std::shared_ptr<const List>;
  using Dicts = std::shared_ptr<const Dict>;

  Value() = default;
  explicit Value(Undefined undefined) : state_(undefined) {}
  explicit Value(None none) : state_(none) {}
  explicit Value(bool flag) : state_(flag) {}
  explicit Value(std::int64_t number) : state_(number) {}
  explicit Value(double number) : state_(number) {}
  explicit Value(Text text) : state_(std::make_shared<const Text>(std::move(text))) {}
  explicit Value(Lists list) : state_(std::move(list)) {}
  explicit Value(Dicts dict) : state_(std::move(dict)) {}
  explicit Value(Namespace* names) : state_(names) {}
  explicit Value(Loop* loop) : state_(loop) {}
  explicit Value(Macro macro) : state_(macro) {}
  explicit Value(Builtin builtin) : state_(builtin) {}

  template <class T>
  bool is() const {
    return std::holds_alternative<T>(state_);
  }
  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  // Null where it is something else.
  const Undefined* undefined() const { return std::get_if<Undefined>(&state_); }
  const bool* flag() const { return std::get_if<bool>(&state_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&state_); }
  const double* real() const { return std::get_if<double>(&state_); }
  const Macro* macro() const { return std::get_if<Macro>(&state_); }
  const Text* text() const { return shared<Strings>(); }
  const List* list() const { return shared<Lists>(); }
  const Dict* dict() const { return shared<Dicts>(); }
  Namespace* names() const { return plain<Namespace*>(); }
  Loop* loop() const { return plain<Loop*>(); }
  Lists shared_list() const {
    const auto* lists = std::get_if<Lists>(&state_);
    return lists ? *lists : nullptr;
  }

 private:
  template <class T>
  auto shared() const -> decltype(std::declval<T>().get()) {
    const T* held = std::get_if<T>(&state_);
    return held ? held->get() : nullptr;
  }
  template <class T>
  T plain() const {
    const T* held = std::get_if<T>(&state_);
    return held ? *held : nullptr;
  }

  std::variant<Undefined, None, bool, std::int64_t, double, Strings, Lists, Dicts, Namespace*,
               Loop*, Macro, Builtin>
      state_;
};

struct List {
  std::vector<Value> items;
  bool is_tuple = false;
  std::uint32_t nesting = 1;
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in the order they were put in
  std::uint32_t nesting = 1;

  const Value* find(std::string_view key) const;  // null where it is not there
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> items;

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

// The variable `loop` of a for block.
struct Loop {
  Value::Lists items;
  std::size_t index = 0;
};

bool truth(const Value& value);
std::uint32_t nesting_of(const Value& value);
std::string_view type_name(const Value& value);  // as Python says it: "str", "int", ...

// Numbers as Python sees them: booleans are 0 and 1.
bool is_integer(const Value& value);
bool is_number(const Value& value);
std::int64_t integer_of(const Value& value);  // precondition: is_integer
double number_of(const Value& value);         // precondition: is_number
std::string float_text(double number);        // Python's repr

}  // namespace thaw::text::jinja
