#include "source_view.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace thaw::house {
namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Walks a source once, sending each character to its view.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {
    std::string blank(text.size(), ' ');
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') blank[i] = '\n';
    }
    view_ = {blank, blank, blank, {}};
  }

  SourceView scan() {
    while (at_ < text_.size()) {
      if (starts("//")) {
        take(view_.comments, end_of_line_comment());
      } else if (starts("/*")) {
        take(view_.comments, after(text_.find("*/", at_ + 2), 2));
      } else if (raw_string_starts()) {
        take_raw_string();
      } else if (text_[at_] == '"' || (text_[at_] == '\'' && !is_digit_separator())) {
        take_quoted(text_[at_]);
      } else {
        take(view_.code, at_ + 1);
      }
    }
    return view_;
  }

 private:
  bool starts(std::string_view prefix) const { return text_.substr(at_).starts_with(prefix); }

  std::size_t after(std::size_t position, std::size_t length) const {
    return position == std::string_view::npos ? text_.size() : position + length;
  }

  void take(std::string& to, std::size_t end) {
    for (; at_ < end; ++at_) to[at_] = text_[at_];
  }

  std::size_t end_of_line_comment() const {
    std::size_t end = at_;
    do {
      end = std::min(text_.find('\n', end + 1), text_.size());
    } while (end < text_.size() && text_[end - 1] == '\\');
    return end;
  }

  // 1'000'000 and 0xFF'FF, but not u'x'.
  bool is_digit_separator() const {
    std::size_t begin = at_;
    while (begin > 0 && (is_word(text_[begin - 1]) || text_[begin - 1] == '\'')) --begin;
    return begin < at_ && std::isdigit(static_cast<unsigned char>(text_[begin])) != 0;
  }

  bool raw_string_starts() const {
    if (!starts("R\"")) return false;
    std::size_t begin = at_;
    while (begin > 0 && is_word(text_[begin - 1])) --begin;
    const std::string_view prefix = text_.substr(begin, at_ - begin);
    return prefix.empty() || prefix == "u8" || prefix == "u" || prefix == "U" || prefix == "L";
  }

  void take_raw_string() {
    const std::size_t open = std::min(text_.find('(', at_), text_.size() - 1);
    const std::string close = ")" + std::string(text_.substr(at_ + 2, open - at_ - 2)) + "\"";
    const std::size_t end = std::min(text_.find(close, open), text_.size());
    const std::size_t last_line = line_at(text_, end);
    for (std::size_t line = line_at(text_, at_); line <= last_line; ++line) {
      view_.raw_lines.insert(line);
    }
    take(view_.code, at_ + 2);  // the opening quote
    at_ = std::min(open + 1, end);
    take(view_.quoted, end);
    at_ = std::min(end + close.size() - 1, text_.size());
    if (at_ < text_.size()) take(view_.code, at_ + 1);  // the closing one
  }

  void take_quoted(char quote) {
    take(view_.code, at_ + 1);
    std::size_t end = at_;
    while (end < text_.size() && text_[end] != quote && text_[end] != '\n') {
      end += text_[end] == '\\' ? 2 : 1;
    }
    take(view_.quoted, std::min(end, text_.size()));
    if (at_ < text_.size() && text_[at_] == quote) take(view_.code, at_ + 1);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  SourceView view_;
};

// `header` without what is between brackets of one sort, nested ones included.
std::string without_groups(std::string_view header, char open, char close) {
  std::string kept;
  int depth = 0;
  for (const char c : header) {
    if (c == close && depth > 0) --depth;
    if (depth == 0) kept.push_back(c);
    if (c == open) ++depth;
  }
  return kept;
}

// `header` without alignas(...) and __attribute__((...)), whose parentheses are not a parameter
// list.
std::string without_attributes(std::string header) {
  for (const std::string_view word : {"alignas", "__attribute__", "requires"}) {
    for (;;) {
      const std::size_t at = find_word(header, word);
      if (at == std::string::npos) break;
      std::size_t end = at + word.size();
      while (end < header.size() && header[end] == ' ') ++end;
      int depth = 0;
      while (end < header.size()) {
        if (header[end] == '(') ++depth;
        if (header[end] == ')') --depth;
        if (depth == 0) break;
        ++end;
      }
      header.erase(at, std::min(end + 1, header.size()) - at);
    }
  }
  return header;
}

enum class Scope { kTransparent, kClass, kFunction, kOther };

// What the brace after `header` opens, seen from namespace or class scope.
Scope scope_after(std::string_view raw_header) {
  std::string header = without_attributes(std::string(raw_header));
  while (!header.empty() && std::isspace(static_cast<unsigned char>(header.back())) != 0) {
    header.pop_back();
  }
  if (find_word(header, "namespace") != std::string::npos) return Scope::kTransparent;
  if (find_word(header, "extern") != std::string::npos && header.ends_with('"')) {
    return Scope::kTransparent;
  }
  const std::string plain = without_groups(header, '<', '>');
  for (const std::string_view word : {"class", "struct", "union", "enum"}) {
    const std::size_t at = find_word(plain, word);
    if (at != std::string::npos && plain.find('(', at) == std::string::npos) return Scope::kClass;
  }
  const bool initialiser = header.ends_with('=') || header.find('(') == std::string::npos;
  const bool lambda = header.find(']') != std::string::npos && header.ends_with(']');
  return initialiser && !lambda ? Scope::kOther : Scope::kFunction;
}

// The last word before the first parenthesis; for TEST(A, B) all of it.
std::string name_in(std::string_view header) {
  const std::size_t paren = std::min(header.find('('), header.size());
  std::size_t begin = paren;
  while (begin > 0 && std::isspace(static_cast<unsigned char>(header[begin - 1])) == 0) --begin;
  std::string name(header.substr(begin, paren - begin));
  if (name.starts_with("TEST")) name = header.substr(begin, header.find(')') + 1 - begin);
  return name;
}

// Whether the brace at `at`, inside of a function, opens a list of values: = {, ({, , { and the
// list of a for. A lambda's body follows a parenthesis that closes, or its return type.
bool opens_values(std::string_view code, std::size_t at) {
  const std::size_t before = code.find_last_not_of(" \n", at - 1);
  if (at == 0 || before == std::string_view::npos) return false;
  if (code[before] != ':')
    return std::string_view("=(,").find(code[before]) != std::string_view::npos;
  const std::size_t begin = code.find_last_of("(;{}", before);
  return begin != std::string_view::npos && begin >= 4 && code.substr(begin - 4, 4) == "for ";
}

}  // namespace

SourceView view_of(std::string_view text) { return Scanner(text).scan(); }

std::string without_directives(std::string_view code) {
  std::string kept;
  bool continued = false;
  for (const std::string_view line : lines_of(code)) {
    const std::size_t first = line.find_first_not_of(" \t");
    const bool directive = continued || (first != std::string_view::npos && line[first] == '#');
    continued = directive && line.ends_with('\\');
    kept += directive ? std::string(line.size(), ' ') : std::string(line);
    kept += '\n';
  }
  return kept;
}

FunctionList functions_of(std::string_view text) {
  const std::string code = without_directives(view_of(text).code);
  FunctionList list;
  std::vector<Scope> scopes;
  std::size_t header = 0;  // where the words before the next brace begin
  int parens = 0;
  std::size_t function_depth = 0;  // scopes open where the current function began; 0: in none
  std::size_t values_depth = 0;    // the same for a list of values in it
  std::size_t values_begin = 0;
  std::size_t values_lines = 0;  // of the current function
  for (std::size_t i = 0; i < code.size(); ++i) {
    const char c = code[i];
    if (c == '(') ++parens;
    if (c == ')') --parens;
    if (c == ';' && parens == 0) header = i + 1;
    if (c == '{') {
      const std::string_view words = std::string_view(code).substr(header, i - header);
      const bool nested = function_depth != 0 || parens > 0;
      // In a table's braces only a lambda's body is a function.
      const bool in_table = !scopes.empty() && scopes.back() == Scope::kOther;
      const bool lambda = words.find("](") != std::string_view::npos;
      scopes.push_back(nested || (in_table && !lambda) ? Scope::kOther : scope_after(words));
      if (function_depth != 0 && values_depth == 0 && opens_values(code, i)) {
        values_depth = scopes.size();
        values_begin = i;
      }
      if (scopes.back() == Scope::kFunction) {
        function_depth = scopes.size();
        values_lines = 0;
        const std::size_t first = code.find_first_not_of(" \n", header);
        list.functions.push_back({name_in(words.substr(first - header)), line_at(code, first), 0});
      } else if (!nested) {
        header = i + 1;
      }
    }
    if (c == '}') {
      if (scopes.empty()) return {std::move(list.functions), false};
      if (scopes.size() == values_depth) {
        values_lines += line_at(code, i) - line_at(code, values_begin);
        values_depth = 0;
      }
      if (scopes.size() == function_depth) {
        FunctionSpan& span = list.functions.back();
        span.lines = line_at(code, i) - span.first_line + 1 - values_lines;
        function_depth = 0;
      }
      scopes.pop_back();
      if (function_depth == 0 && parens == 0) header = i + 1;
    }
  }
  list.balanced = scopes.empty() && parens == 0;
  return list;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::size_t line_at(std::string_view text, std::size_t offset) {
  const auto before = text.substr(0, offset);
  return static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
}

std::size_t find_word(std::string_view text, std::string_view word, std::size_t from) {
  for (std::size_t at = text.find(word, from); at != std::string_view::npos;
       at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) {
      return at;
    }
  }
  return std::string_view::npos;
}

std::string report(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += "\n" + finding.path + ":" + std::to_string(finding.line) + ": " + finding.message;
  }
  return text;
}

}  // namespace thaw::house
