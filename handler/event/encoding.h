// The encodings that HTTP events wrap their parts in.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace thaw::event {

// Standard or URL-safe alphabet, padded or not; nothing where a character is of neither, or the
// length is impossible. Line breaks are not skipped: no platform sends them.
std::optional<std::string> base64_decode(std::string_view text);

// Standard alphabet, padded.
std::string base64_encode(std::string_view bytes);

// As CloudEvents want header values: space, '"', '%' and all that is not printable ASCII as %XX.
std::string percent_encode_header(std::string_view text);

// %XX to bytes, once. What is no escape stays as it is. `plus_is_space`: as forms and queries have
// it.
std::string percent_decode(std::string_view text, bool plus_is_space);

// "a=1&b=2" in order, decoded; "a" alone has an empty value.
std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);

// Header names and media types compare so: ASCII letters alone fold.
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace thaw::event
