// Cross-origin requests to a function URL, as its configuration allows them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/http/message.h"

namespace thaw::emulator {

struct Cors {
  std::vector<std::string> origins;  // "https://example.com", or "*"
  std::vector<std::string> methods;  // "GET", or "*"
  std::vector<std::string> headers;  // that a request may have, or "*"
  std::vector<std::string> exposed;  // that a page may read
  bool credentials = false;
  std::optional<std::uint32_t> max_age_seconds;
};

// A browser's question before its request: answered for the function, which never sees it.
bool is_preflight(std::string_view method, const http::Fields& headers);

// The fields for the answer to a request or to its preflight: none where the origin is not allowed.
http::Fields cors_fields(const Cors& cors, const http::Fields& headers, bool preflight);

// Whether the configuration sets the field itself, whatever the function says.
bool is_cors_field(std::string_view name);

}  // namespace thaw::emulator
