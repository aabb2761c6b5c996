#include "runtime/emulator/function_reference.h"

#include <algorithm>
#include <vector>

#include "base/str.h"

namespace thaw::emulator {
namespace {

constexpr std::size_t kReferenceBytesMax = 170;  // AWS's, of an ARN with its qualifier
constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kQualifierBytesMax = 128;

bool is_word(std::string_view text, std::size_t bytes_max, std::string_view also) {
  return !text.empty() && text.size() <= bytes_max &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || also.find(c) != also.npos;
         });
}

bool is_account(std::string_view text) {
  return text.size() == 12 && text.find_first_not_of("0123456789") == text.npos;
}

std::vector<std::string_view> parts_of(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t colon = text.find(':');
    parts.push_back(text.substr(0, colon));
    if (colon == text.npos) return parts;
    text.remove_prefix(colon + 1);
  }
}

}  // namespace

Result<FunctionReference> parse_function_reference(std::string_view reference,
                                                   std::string_view qualifier) {
  const auto refused = [&] {
    return fail(
        Code::kInvalid,
        "1 validation error detected: Value at 'functionName' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: "
        "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-[a-z]+)+-\\d{1}:)?(\\d{12}:)?(function:)?"
        "([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?");
  };
  if (reference.size() > kReferenceBytesMax) return refused();
  const std::vector<std::string_view> parts = parts_of(reference);
  std::size_t at = 0;
  if (parts[0] == "arn") {
    const bool sound = parts.size() >= 7 && parts[1].starts_with("aws") && parts[2] == "lambda" &&
                       is_account(parts[4]) && parts[5] == "function";
    if (!sound) return refused();
    at = 6;
  } else if (parts.size() > 1 && is_account(parts[0])) {
    at = parts.size() > 2 && parts[1] == "function" ? 2 : 1;
  } else if (parts.size() > 1 && parts[0] == "function") {
    at = 1;
  }
  FunctionReference found;
  found.name = parts[at];
  if (!is_word(found.name, kNameBytesMax, "") || parts.size() > at + 2) return refused();
  if (parts.size() == at + 2) {
    found.qualifier = parts[at + 1];
    if (!is_word(found.qualifier, kQualifierBytesMax, "$")) return refused();
  }
  if (qualifier.empty()) return found;
  if (!is_word(qualifier, kQualifierBytesMax, "$")) {
    return fail(Code::kInvalid,
                "1 validation error detected: Value at 'qualifier' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: (|[a-zA-Z0-9$_-]+)");
  }
  if (!found.qualifier.empty() && found.qualifier != qualifier) {
    return fail(Code::kInvalid,
                "The derived qualifier from the function name does not match the specified "
                "qualifier.");
  }
  found.qualifier = qualifier;
  return found;
}

}  // namespace thaw::emulator
