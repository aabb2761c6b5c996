// Reads the fields of a JSON object that strangers wrote: types and ranges checked, the first thing
// wrong kept with the field's name. Values never enter its messages, except numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "handler/event/json.h"

namespace thaw::handler {

// What is wrong with a request, and with which of its fields.
struct FieldError {
  Code code = Code::kInvalid;  // kUnsupported: known, but not something this function does
  std::string field;           // "messages[1].content"; empty: the request as a whole
  std::string message;         // one line
};

// Null counts as absent, as OpenAI's clients send it. After the first error every read gives
// nothing. One thread at a time.
class Fields {
 public:
  // `object` must be an object. `prefix` stands before field names: "defaults.".
  explicit Fields(json::Value object, std::string_view prefix = "")
      : object_(object), prefix_(prefix) {}

  std::optional<double> number(std::string_view name, double least, double most);
  std::optional<std::uint64_t> integer(std::string_view name, std::uint64_t least,
                                       std::uint64_t most);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::string_view> text(std::string_view name);
  // An object; absent where the field is.
  json::Value object(std::string_view name);
  json::Value any(std::string_view name) const { return failed() ? json::Value() : object_[name]; }

  // Keeps the first error. `found` is of kind "a string"; `wanted` says what would have been good.
  void wrong(std::string_view name, std::string_view found, std::string_view wanted);
  void unsupported(std::string_view name, std::string_view detail);

  bool failed() const { return error_.has_value(); }
  const FieldError& error() const { return *error_; }  // Precondition: failed()
  std::string full_name(std::string_view name) const { return prefix_ + std::string(name); }

 private:
  json::Value object_;
  std::string prefix_;
  std::optional<FieldError> error_;
};

}  // namespace thaw::handler
