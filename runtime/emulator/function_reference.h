// Which function a path or a configuration means. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace thaw::emulator {

struct FunctionReference {
  std::string name;
  std::string qualifier;  // a version, an alias, "$LATEST", or empty
};

// "chat", "chat:PROD", "123456789012:chat", "123456789012:function:chat",
// "arn:aws:lambda:us-east-1:123456789012:function:chat:PROD"; already percent-decoded. `qualifier`
// is what the query names, or empty.
// Errors: kInvalid (none of these, or two qualifiers that differ).
Result<FunctionReference> parse_function_reference(std::string_view reference,
                                                   std::string_view qualifier);

}  // namespace thaw::emulator
