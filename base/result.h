// Result<T>: a value, or an Error that says what the world did. Member names are those of C++23's
// std::expected, so that the move to it is an alias. For our own bugs see check.h.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace thaw {

// What kind of failure it was; the message says the rest. Callers branch on the code, never on
// text.
enum class Code : unsigned char {
  kInvalid,      // the caller's input is wrong: a bad request, option, template, config
  kNotFound,     // no such file, section, function
  kUnsupported,  // well-formed, but not something this build or machine can do
  kCorrupt,      // bytes that contradict themselves: bad magic, checksum, bounds, syntax
  kIo,           // the system refused: read, write, map, socket
  kLimit,        // a named limit was reached
  kUnavailable,  // not now; later may do
  kDeadline,     // time ran out
  kCancelled,    // whoever asked went away
};

// The code's name as logs spell it, "corrupt" for kCorrupt.
std::string_view name_of(Code code);

// One line: what was tried: where: found, wanted; what to do. Never holds prompts or outputs.
struct Error {
  Code code = Code::kInvalid;
  std::string message;
};

// The value of an operation that has nothing to give back.
struct Done {};

template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = Error;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit
  template <class U>
    requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, Error> &&
             !std::is_same_v<std::remove_cvref_t<U>, T> &&
             !std::is_same_v<std::remove_cvref_t<U>, Result<T>>)
  Result(U&& value)  // NOLINT: implicit
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // Precondition: has_value(). (std::get throws bad_variant_access on our bug.)
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Precondition: !has_value().
  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

inline Error fail(Code code, std::string message) { return Error{code, std::move(message)}; }

}  // namespace thaw

// Binds `name` to the value of a Result expression, or returns its error from this function.
#define THAW_TRY(name, ...)                                                \
  auto name##_result = (__VA_ARGS__);                                      \
  if (!name##_result.has_value()) return std::move(name##_result).error(); \
  auto& name = *name##_result

// Evaluates a Result expression for its effect, or returns its error from this function.
#define THAW_TRY_DO(...)                                                         \
  do {                                                                           \
    auto thaw_try_result = (__VA_ARGS__);                                        \
    if (!thaw_try_result.has_value()) return std::move(thaw_try_result).error(); \
  } while (false)
