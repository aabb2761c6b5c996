#include "runtime/lambda/protocol.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace thaw::lambda {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Replaces what is not UTF-8, so that it cannot throw.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

std::string error_document(const handler::InvocationError& error) {
  Json document;
  document["errorMessage"] = error.message;
  document["errorType"] = error.type;
  document["stackTrace"] = Json::array();
  return dump(document);
}

std::string error_cause(const handler::InvocationError& error) {
  Json exception;
  exception["message"] = error.message;
  exception["type"] = error.type;
  exception["stack"] = Json::array();
  Json cause;
  cause["working_directory"] = "/var/task";
  cause["exceptions"] = Json::array({std::move(exception)});
  cause["paths"] = Json::array();
  return cause.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string_view header_error_type(std::string_view type) {
  for (const std::string_view category : {"Runtime.", "Function."}) {
    if (!type.starts_with(category)) continue;
    const std::string_view reason = type.substr(category.size());
    if (reason.size() >= 2 && reason.front() >= 'A' && reason.front() <= 'Z' &&
        std::all_of(reason.begin(), reason.end(), is_letter)) {
      return type;
    }
  }
  return "Function.Unknown";
}

std::string http_prelude(const handler::StreamHead& head) {
  Json headers = Json::object();
  Json cookies = Json::array();
  if (head.http) {
    for (const auto& [name, value] : head.http->headers) {
      const std::string key = lower(name);
      if (key == "set-cookie") {
        cookies.push_back(value);
      } else if (headers.contains(key)) {
        headers[key] = headers[key].get<std::string>() + ", " + value;
      } else {
        headers[key] = value;
      }
    }
  }
  if (!headers.contains("content-type")) headers["content-type"] = head.content_type;
  Json prelude;
  prelude["statusCode"] = head.http ? head.http->status : 200;
  prelude["headers"] = std::move(headers);
  if (!cookies.empty()) prelude["cookies"] = std::move(cookies);
  return dump(prelude) + std::string(kPreludeEndBytes, '\0');
}

std::optional<LogLevel> log_level_of(std::string_view name) {
  if (name == "TRACE" || name == "DEBUG") return LogLevel::kDebug;
  if (name == "INFO") return LogLevel::kInfo;
  if (name == "WARN") return LogLevel::kWarn;
  if (name == "ERROR" || name == "FATAL") return LogLevel::kError;
  return std::nullopt;
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < count ? static_cast<std::uint8_t>(bytes[i + k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out.push_back(k <= count ? kAlphabet[group >> (18 - 6 * k) & 63] : '=');
    }
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  static constexpr auto kValues = [] {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
      values[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::int8_t>(i);
    }
    return values;
  }();
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const std::size_t missing = i + 4 == text.size() ? padding : 0;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const int value = k < 4 - missing ? kValues[static_cast<std::uint8_t>(text[i + k])] : 0;
      if (value < 0) return std::nullopt;
      group = group << 6 | static_cast<std::uint32_t>(value);
    }
    for (std::size_t k = 0; k < 3 - missing; ++k) {
      out.push_back(static_cast<char>(group >> (16 - 8 * k) & 255));
    }
    // Bits beyond the last byte must be zero, or two texts would mean the same bytes.
    if ((missing == 1 && (group & 0xff) != 0) || (missing == 2 && (group & 0xffff) != 0)) {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace thaw::lambda
