// Strings that remember which of their bytes the template wrote and which came from a request, and
// Python's string operations on them. Positions are bytes unless a name says characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace thaw::text::jinja {

class Text {
 public:
  // Bytes from `begin` up to the next run (or the end) share one origin.
  struct Run {
    std::size_t begin = 0;
    bool is_special = false;  // the template's own, not a request's
  };

  Text() = default;
  Text(std::string_view bytes, bool is_special) { append(bytes, is_special); }

  std::string_view view() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  const std::vector<Run>& runs() const { return runs_; }  // ascending; neighbours differ
  std::string_view run_bytes(std::size_t run) const;

  void append(std::string_view bytes, bool is_special);
  void append(const Text& text) { append(text, 0, text.size()); }
  void append(const Text& text, std::size_t begin, std::size_t end);  // begin <= end <= size()
  Text slice(std::size_t begin, std::size_t end) const;               // begin <= end <= size()

 private:
  std::string bytes_;
  std::vector<Run> runs_;
};

// A character of UTF-8 at `at` < bytes.size(); an invalid byte is one character, U+FFFD.
struct Character {
  char32_t code = 0;
  std::size_t bytes = 1;
};
Character character_at(std::string_view bytes, std::size_t at);

std::size_t count_characters(std::string_view bytes);
bool is_space(char32_t code);            // as Python's str.isspace
bool is_printable(char32_t code);        // as Python's str.isprintable
bool is_digits(std::string_view bytes);  // ASCII's alone

enum class Side : std::uint8_t { kBoth, kLeft, kRight };
// Without `characters`, white space is stripped.
Text strip(const Text& text, Side side, std::optional<std::string_view> characters);

// Python's split: at white space without `separator` (which must not be empty); at most
// `splits_max` times where that is not negative. `from_right` is rsplit.
std::vector<Text> split(const Text& text, std::optional<std::string_view> separator,
                        std::int64_t splits_max, bool from_right);
std::vector<Text> split_lines(const Text& text, bool keep_ends);

// At most `count` times where that is not negative. `old` may be empty, as in Python.
Text replace(const Text& text, std::string_view old, const Text& with, std::int64_t count);

enum class Case : std::uint8_t {
  kUpper,
  kLower,
  kTitle,       // str.title: a letter after a letter is lower
  kCapitalize,  // the first character upper, the others lower
  kWords,       // the filter `title`: words begin after white space, '-' and opening brackets
};
Text change_case(const Text& text, Case to);
bool is_case(std::string_view bytes, bool upper);  // str.isupper, str.islower

// Python's repr of a string, quotes included; added characters take the origin of those beside
// them.
Text repr(const Text& text);
// A JSON string, quotes included, as Python's json writes it.
Text json_string(const Text& text, bool ascii_only);

}  // namespace thaw::text::jinja
