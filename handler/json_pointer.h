// JSON Pointers (RFC 6901): where in a document the manifest says a prompt is.
#pragma once

#include <string_view>

#include "handler/event/json.h"

namespace thaw::handler {

// Empty, or begins with '/' and has its tildes as ~0 or ~1 (RFC 6901).
bool is_pointer(std::string_view text);

// The value at `pointer`; absent where there is none. The empty pointer is the root.
json::Value find_pointer(json::Value root, std::string_view pointer);

}  // namespace thaw::handler
