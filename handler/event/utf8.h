// Which bytes are well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates,
// nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace thaw::event {

// The bytes of the well-formed character that `text` begins with; 0 where it begins with none.
std::size_t utf8_length(std::string_view text);

bool is_utf8(std::string_view text);

// Appends the UTF-8 of a scalar value. Precondition: it is one (no surrogate, <= 0x10FFFF).
void append_utf8(std::string& to, char32_t scalar);

}  // namespace thaw::event
