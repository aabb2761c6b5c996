#include "handler/text/tokenizer.h"
#include "handler/text/unicode.h"

namespace thaw::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

bool gives_text(TokenType type) {
  return type == TokenType::kNormal || type == TokenType::kUserDefined || type == TokenType::kByte;
}

}  // namespace

std::string Detokenizer::push(Token token) {
  const TokenType type = tokenizer_.type_of(token);
  if (!gives_text(type)) return {};
  std::string_view bytes = tokenizer_.bytes_of(token);
  if (first_ && tokenizer_.strips_leading_space() && type == TokenType::kNormal &&
      bytes.starts_with(' ')) {
    bytes.remove_prefix(1);
  }
  first_ = false;
  pending_ += bytes;

  std::string text;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8 next = decode_utf8(rest);
    if (next.status == Utf8::Status::kCutShort) break;
    const bool is_valid = next.status == Utf8::Status::kValid;
    text += is_valid ? rest.substr(0, next.bytes) : kReplacement;
    rest.remove_prefix(next.bytes);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return text;
}

std::string Detokenizer::finish() {
  const bool is_cut_short = !pending_.empty();
  pending_.clear();
  return is_cut_short ? std::string(kReplacement) : std::string();
}

}  // namespace thaw::text
