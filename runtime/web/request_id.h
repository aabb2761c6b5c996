// What a request is called in logs, answers and seeds.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "runtime/http/message.h"

namespace thaw::web {

inline constexpr std::size_t kRequestIdBytesMax = 128;

// Ids are from outside and reach logs, headers and JSON: letters, digits and "-_.:/=+@" alone.
bool is_request_id(std::string_view text);

// The first of these headers that holds an id, else a new random one. Thread-safe.
std::string request_id_of(const http::Fields& headers,
                          std::initializer_list<std::string_view> names);

}  // namespace thaw::web
