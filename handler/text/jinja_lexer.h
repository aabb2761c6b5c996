// Jinja source to tokens, white-space control applied (trim_blocks and lstrip_blocks are on, as
// transformers sets them).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace thaw::text::jinja {

enum class TokenKind : std::uint8_t {
  kData,  // text outside of tags
  kOutputBegin,
  kOutputEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,  // decoded
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  std::uint32_t line = 1;
};

// An error at a line of the template, as all of the compiler's look.
Error error_at(Code code, std::uint32_t line, std::string_view what);

// The tokens, kEnd last. Errors: kInvalid, kUnsupported; each with its line.
Result<std::vector<Token>> lex(std::string_view source);

}  // namespace thaw::text::jinja
