#include "snapshot/name.h"

#include <cstdint>

namespace thaw::snapshot {
namespace {

// The length of the well-formed UTF-8 character at the start of `text`, 0 where there is none or
// where it is a control character. Ranges as in table 3-7 of the Unicode standard.
std::size_t plain_character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t index) -> std::uint8_t {
    return index < text.size() ? static_cast<std::uint8_t>(text[index]) : 0;
  };
  const auto continues = [&](std::size_t index) { return (byte(index) & 0xC0) == 0x80; };
  const std::uint8_t first = byte(0);
  const std::uint8_t second = byte(1);
  if (first < 0x80) return first >= 0x20 && first != 0x7F ? 1 : 0;
  if (first < 0xC2 || first > 0xF4 || !continues(1)) return 0;
  if (first == 0xC2 && second < 0xA0) return 0;  // U+0080 to U+009F are controls too
  if (first < 0xE0) return 2;
  if (!continues(2)) return 0;
  if (first == 0xE0 && second < 0xA0) return 0;  // overlong
  if (first == 0xED && second > 0x9F) return 0;  // surrogates
  if (first < 0xF0) return 3;
  if (!continues(3)) return 0;
  if (first == 0xF0 && second < 0x90) return 0;  // overlong
  if (first == 0xF4 && second > 0x8F) return 0;  // past U+10FFFF
  return 4;
}

}  // namespace

bool is_plain_text(std::string_view name) {
  while (!name.empty()) {
    const std::size_t bytes = plain_character_bytes(name);
    if (bytes == 0) return false;
    name.remove_prefix(bytes);
  }
  return true;
}

std::string quote(std::string_view name) {
  std::string out = "'";
  while (!name.empty() && out.size() <= kQuotedMax) {
    const std::size_t bytes = plain_character_bytes(name);
    out.append(bytes == 0 ? std::string_view("?") : name.substr(0, bytes));
    name.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  out.append(name.empty() ? "'" : "...'");
  return out;
}

}  // namespace thaw::snapshot
