// How messages of HTTP/1.1 are written: heads, chunks, and the checks that keep a header's value
// from becoming a header of its own.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/http/message.h"

namespace thaw::http {

inline constexpr std::string_view kLastChunk = "0\r\n";  // trailers and an empty line follow

bool is_token(std::string_view text);   // a method, a field's name
bool is_target(std::string_view text);  // no space, no control character

// Errors: kInvalid: a name or value that would break the message, or a field that is framing's own
// (Content-Length, Transfer-Encoding, Connection, Trailer).
Result<Done> check_fields(const Fields& fields);

void append_field(std::string& to, std::string_view name, std::string_view value);
void append_fields(std::string& to, const Fields& fields);
// A chunk that holds `part`, which is not empty.
void append_chunk(std::string& to, std::string_view part);

}  // namespace thaw::http
