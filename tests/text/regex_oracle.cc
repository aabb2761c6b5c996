#include "regex_oracle.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdio>
#include <cstdlib>

namespace thaw::text::test {

struct RegexOracle::Code {
  explicit Code(const std::string& expression) {
    int error = 0;
    PCRE2_SIZE where = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                         PCRE2_UTF | PCRE2_UCP, &error, &where, nullptr);
    if (code == nullptr) {
      std::fprintf(stderr, "bad expression, error %d at %zu\n", error, where);
      std::abort();
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    match = pcre2_match_data_create_from_pattern(code, nullptr);
  }
  ~Code() {
    pcre2_match_data_free(match);
    pcre2_code_free(code);
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  // The first match from `at` on; false where there is none.
  bool search(std::string_view text, std::size_t at, std::size_t& begin, std::size_t& end) const {
    const int count = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                  0, match, nullptr);
    if (count <= 0) return false;
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match);
    begin = bounds[0];
    end = bounds[1];
    return true;
  }

  pcre2_code* code;
  pcre2_match_data* match;
};

RegexOracle::RegexOracle(const std::vector<std::string>& expressions) {
  for (const std::string& expression : expressions) {
    codes_.push_back(std::make_unique<Code>(expression));
  }
}

RegexOracle::~RegexOracle() = default;

std::vector<std::size_t> RegexOracle::split(std::string_view text) const {
  std::vector<std::size_t> pieces;
  if (!text.empty()) pieces.push_back(text.size());
  for (const auto& code : codes_) {
    std::vector<std::size_t> next;
    std::size_t piece_begin = 0;
    for (const std::size_t piece_end : pieces) {
      const std::string_view piece = text.substr(piece_begin, piece_end - piece_begin);
      std::size_t at = 0;
      std::size_t begin = 0;
      std::size_t end = 0;
      while (at < piece.size() && code->search(piece, at, begin, end)) {
        if (begin > at) next.push_back(piece_begin + begin);
        next.push_back(piece_begin + end);
        at = end;
      }
      if (at < piece.size()) next.push_back(piece_end);
      piece_begin = piece_end;
    }
    pieces = next;
  }
  return pieces;
}

CharClass regex_class_of(char32_t code_point) {
  static const RegexOracle kClasses[] = {
      RegexOracle({R"(\p{L})"}), RegexOracle({R"(\p{M})"}), RegexOracle({R"(\p{N})"}),
      RegexOracle({R"(\p{P})"}), RegexOracle({R"(\p{S})"}), RegexOracle({R"(\s)"}),
  };
  // A character is isolated from its neighbour exactly if the class matches it.
  std::string text;
  append_utf8(text, code_point);
  text.push_back('\x01');
  int classes = 0;
  for (int i = 0; i < 6; ++i) {
    if (kClasses[i].split(text).size() == 2) classes |= 1 << i;
  }
  return static_cast<CharClass>(classes);
}

}  // namespace thaw::text::test
