// What the tokenizers need of Unicode: UTF-8, character classes, normalisation form C. The tables
// are generated (unicode_tables.py), so that every build knows the same version of Unicode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace thaw::text {

// General categories by their first letter, and the property White_Space (\s), which none of the
// other classes shares. One bit each, so that sets of them can be tested at once.
enum CharClass : std::uint8_t {
  kOther = 0,  // controls, formats, unassigned code points, invalid bytes
  kLetter = 1,
  kMark = 2,
  kNumber = 4,
  kPunctuation = 8,
  kSymbol = 16,
  kSpace = 32,
};

CharClass class_of(char32_t code_point);

// One step through UTF-8 text.
struct Utf8 {
  enum class Status : std::uint8_t { kValid, kInvalid, kCutShort };
  char32_t code_point = 0;  // meaningful where kValid
  std::uint8_t bytes = 0;   // of the character; else of the maximal subpart of an ill-formed one
  Status status = Status::kValid;
};

// The character at the front of `text`, which is not empty. kCutShort: all of `text` is a proper
// beginning of a well-formed character.
Utf8 decode_utf8(std::string_view text);

void append_utf8(std::string& to, char32_t code_point);

// True where `text` is known to be in normalisation form C already: cheap, may be false for some
// normalised texts.
bool is_surely_nfc(std::string_view text);

// Appends `text` in normalisation form C. Bytes that are not UTF-8 pass through and end a sequence.
void append_nfc(std::string& to, std::string_view text);

}  // namespace thaw::text
