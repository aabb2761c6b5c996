// Names that come from files: which a snapshot may carry, and how any of them enters a message.
#pragma once

#include <string>
#include <string_view>

namespace thaw::snapshot {

// Whether `name` is well-formed UTF-8 without control characters. The empty name is.
bool is_plain_text(std::string_view name);

// `name` in quotes, fit for one line of a message: cut to kQuotedMax bytes, and every byte that is
// not plain text replaced by '?'.
std::string quote(std::string_view name);

inline constexpr std::size_t kQuotedMax = 64;  // bytes; longer than any name that models use

}  // namespace thaw::snapshot
