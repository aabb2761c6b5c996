// PCRE2 as an oracle for pre-tokenizers.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "handler/text/unicode.h"

namespace thaw::text::test {

// Cuts text by a sequence of regular expressions: each isolates its matches within the pieces that
// the one before left, and what lies between matches is a piece too.
class RegexOracle {
 public:
  explicit RegexOracle(const std::vector<std::string>& expressions);
  ~RegexOracle();
  // Where the pieces of valid UTF-8 text end.
  std::vector<std::size_t> split(std::string_view text) const;

 private:
  struct Code;
  std::vector<std::unique_ptr<Code>> codes_;
};

// The class of a character as PCRE2 knows it.
CharClass regex_class_of(char32_t code_point);

}  // namespace thaw::text::test
