#include "handler/fields.h"

#include "base/str.h"
#include "snapshot/name.h"

namespace thaw::handler {

void Fields::wrong(std::string_view name, std::string_view found, std::string_view wanted) {
  if (failed()) return;
  std::string field = full_name(name);
  std::string message = cat(snapshot::quote(field), ": found ", found, ", wanted ", wanted);
  error_ = FieldError{Code::kInvalid, std::move(field), std::move(message)};
}

void Fields::unsupported(std::string_view name, std::string_view detail) {
  if (failed()) return;
  std::string field = full_name(name);
  std::string message = cat(snapshot::quote(field), ": ", detail);
  error_ = FieldError{Code::kUnsupported, std::move(field), std::move(message)};
}

std::optional<double> Fields::number(std::string_view name, double least, double most) {
  const json::Value value = any(name);
  if (value.is_nothing()) return std::nullopt;
  const std::optional<double> number = value.as_double();
  if (number && *number >= least && *number <= most) return number;
  const std::string found =
      number ? cat(*number)
             : cat(value.type() == json::Type::kNumber ? "a number out of range"
                                                       : json::name_of(value.type()));
  wrong(name, found, cat("a number from ", least, " to ", most));
  return std::nullopt;
}

std::optional<std::uint64_t> Fields::integer(std::string_view name, std::uint64_t least,
                                             std::uint64_t most) {
  const json::Value value = any(name);
  if (value.is_nothing()) return std::nullopt;
  const std::optional<std::uint64_t> number = value.as_uint64();
  if (number && *number >= least && *number <= most) return number;
  const std::optional<double> real = value.as_double();
  const std::string found = real ? cat(*real) : std::string(json::name_of(value.type()));
  wrong(name, found, cat("an integer from ", least, " to ", most));
  return std::nullopt;
}

std::optional<bool> Fields::boolean(std::string_view name) {
  const json::Value value = any(name);
  if (value.is_nothing()) return std::nullopt;
  if (value.type() == json::Type::kBool) return value.is_true();
  wrong(name, json::name_of(value.type()), "true or false");
  return std::nullopt;
}

std::optional<std::string_view> Fields::text(std::string_view name) {
  const json::Value value = any(name);
  if (value.is_nothing()) return std::nullopt;
  if (value.is_string()) return value.text();
  wrong(name, json::name_of(value.type()), "a string");
  return std::nullopt;
}

json::Value Fields::object(std::string_view name) {
  const json::Value value = any(name);
  if (value.is_nothing() || value.is_object()) return value;
  wrong(name, json::name_of(value.type()), "an object");
  return {};
}

}  // namespace thaw::handler
