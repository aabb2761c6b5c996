#include "handler/text/jinja_lexer.h"

#include <algorithm>
#include <utility>

#include "base/str.h"
#include "handler/text/jinja_text.h"
#include "handler/text/unicode.h"

namespace thaw::text::jinja {

Error error_at(Code code, std::uint32_t line, std::string_view what) {
  return fail(code, cat("chat template: line ", line, ": ", what));
}

namespace {

// Every line end becomes \n, and one at the very end goes, as Jinja does before all else.
std::string normalise(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t at = 0; at < source.size(); ++at) {
    if (source[at] != '\r') {
      out.push_back(source[at]);
      continue;
    }
    out.push_back('\n');
    if (at + 1 < source.size() && source[at + 1] == '\n') ++at;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalise(source)), rest_(source_) {}
  Result<std::vector<Token>> run();

 private:
  enum class Tag : std::uint8_t { kOutput, kBlock, kComment };

  Error error(std::string_view what, Code code = Code::kInvalid) const {
    return error_at(code, line_, what);
  }
  bool at(std::string_view text) const { return rest_.substr(at_).starts_with(text); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < rest_.size() ? rest_[at_ + ahead] : '\0';
  }
  void skip(std::size_t count) {
    for (; count > 0 && at_ < rest_.size(); --count) line_ += rest_[at_++] == '\n';
  }
  void skip_spaces() {
    while (at_ < rest_.size()) {
      const Character c = character_at(rest_, at_);
      if (!is_space(c.code)) return;
      skip(c.bytes);
    }
  }
  void push(TokenKind kind, std::string_view text) {
    tokens_.push_back({kind, std::string(text), line_});
  }

  void data(std::size_t end, char sign, bool is_block);
  Result<Done> comment();
  Result<bool> raw();
  Result<Done> tag(Tag kind);
  bool end_of_tag(Tag kind);
  Result<Done> token();
  Result<Done> string();
  Result<std::string> unescape(std::string_view text) const;
  void number();
  Result<Done> operation();
  void finish_block();

  std::string source_;
  std::string_view rest_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  bool line_starts_ = true;  // nothing but a trimmed newline came before on this line
  std::string nesting_;      // open brackets within the tag
  std::vector<Token> tokens_;
};

// Emits the text up to `end`, where a tag with `sign` after its opening begins.
void Lexer::data(std::size_t end, char sign, bool is_block) {
  std::string_view text = rest_.substr(at_, end - at_);
  std::string_view kept = text;
  if (sign == '-') {
    const Text stripped = strip(Text(text, true), Side::kRight, std::nullopt);
    kept = text.substr(0, stripped.size());
  } else if (sign != '+' && is_block) {  // lstrip_blocks
    const std::size_t newline = text.rfind('\n');
    const std::size_t from = newline == std::string_view::npos ? 0 : newline + 1;
    if (from > 0 || line_starts_) {
      const Text tail = strip(Text(text.substr(from), true), Side::kBoth, std::nullopt);
      if (tail.empty()) kept = text.substr(0, from);
    }
  }
  if (!kept.empty()) push(TokenKind::kData, kept);
  skip(text.size());
}

// After "%}" or "#}": trim_blocks takes the newline that follows.
void Lexer::finish_block() {
  line_starts_ = false;
  if (peek() != '\n') return;
  skip(1);
  line_starts_ = true;
}

Result<Done> Lexer::comment() {
  const std::size_t end = rest_.find("#}", at_ + 2);
  if (end == std::string_view::npos) return error("a comment '{#' that does not end");
  const std::size_t begin = at_ + (peek(2) == '-' || peek(2) == '+' ? 3 : 2);
  const char sign = end > begin ? rest_[end - 1] : '\0';
  skip(end + 2 - at_);
  line_starts_ = false;
  if (sign == '-') {
    const std::size_t before = at_;
    skip_spaces();
    line_starts_ = at_ > before && rest_[at_ - 1] == '\n';
  } else if (sign != '+') {
    finish_block();
  }
  return Done{};
}

// {% raw %} at the block that begins here: whether it was one. Its text is taken as it stands.
Result<bool> Lexer::raw() {
  const auto matches = [this](std::size_t from, std::string_view word) -> std::size_t {
    std::size_t at = from + 2;
    if (at < rest_.size() && (rest_[at] == '-' || rest_[at] == '+')) ++at;
    while (at < rest_.size() && is_space(static_cast<unsigned char>(rest_[at]))) ++at;
    if (!rest_.substr(at).starts_with(word)) return 0;
    at += word.size();
    while (at < rest_.size() && is_space(static_cast<unsigned char>(rest_[at]))) ++at;
    const std::string_view tail = rest_.substr(at);
    if (tail.starts_with("%}")) return at + 2;
    return tail.starts_with("-%}") || tail.starts_with("+%}") ? at + 3 : 0;
  };
  const std::size_t begin = matches(at_, "raw");
  if (begin == 0 || rest_[begin - 3] == '+') return false;
  const bool strips = rest_[begin - 3] == '-';
  skip(begin - at_);
  line_starts_ = false;
  if (strips) skip_spaces();
  for (std::size_t end = rest_.find("{%", at_); end != std::string_view::npos;
       end = rest_.find("{%", end + 2)) {
    const std::size_t after = matches(end, "endraw");
    if (after == 0) continue;
    const char sign = rest_[end + 2];
    const char last = rest_[after - 3];
    data(end, sign, true);
    skip(after - at_);
    if (last == '-')
      skip_spaces();
    else if (last != '+')
      finish_block();
    return true;
  }
  return error("a block 'raw' without its 'endraw'");
}

Result<std::vector<Token>> Lexer::run() {
  while (at_ < rest_.size()) {
    std::size_t open = rest_.find('{', at_);
    while (open != std::string_view::npos && open + 1 < rest_.size() && rest_[open + 1] != '{' &&
           rest_[open + 1] != '%' && rest_[open + 1] != '#') {
      open = rest_.find('{', open + 1);
    }
    if (open == std::string_view::npos || open + 1 >= rest_.size()) {
      data(rest_.size(), '+', false);
      break;
    }
    const char sign = open + 2 < rest_.size() ? rest_[open + 2] : '\0';
    const char kind = rest_[open + 1];
    data(open, sign == '-' || sign == '+' ? sign : '\0', kind != '{');
    if (kind == '#') {
      THAW_TRY_DO(comment());
      continue;
    }
    if (kind == '%') {
      THAW_TRY(was_raw, raw());
      if (was_raw) continue;
    }
    THAW_TRY_DO(tag(kind == '%' ? Tag::kBlock : Tag::kOutput));
  }
  push(TokenKind::kEnd, "");
  return std::move(tokens_);
}

// Consumes the end of a tag if it is here.
bool Lexer::end_of_tag(Tag kind) {
  if (!nesting_.empty()) return false;
  const std::string_view close = kind == Tag::kBlock ? "%}" : "}}";
  const bool strips = peek() == '-';
  const bool keeps = kind == Tag::kBlock && peek() == '+';
  const std::size_t sign = strips || keeps ? 1 : 0;
  if (!rest_.substr(at_ + sign).starts_with(close)) return false;
  push(kind == Tag::kBlock ? TokenKind::kBlockEnd : TokenKind::kOutputEnd, "");
  skip(sign + 2);
  line_starts_ = false;
  if (strips) {
    const std::size_t before = at_;
    skip_spaces();
    line_starts_ = at_ > before && rest_[at_ - 1] == '\n';
  } else if (kind == Tag::kBlock && !keeps) {
    finish_block();
  }
  return true;
}

Result<Done> Lexer::tag(Tag kind) {
  const std::uint32_t opened = line_;
  push(kind == Tag::kBlock ? TokenKind::kBlockBegin : TokenKind::kOutputBegin, "");
  skip(2);
  if (peek() == '-' || (kind == Tag::kBlock && peek() == '+')) skip(1);
  nesting_.clear();
  for (;;) {
    if (end_of_tag(kind)) return Done{};
    const std::size_t before = at_;
    skip_spaces();
    if (at_ != before) continue;
    if (at_ >= rest_.size()) {
      return error_at(
          Code::kInvalid, opened,
          kind == Tag::kBlock ? "a tag '{%' that does not end" : "a tag '{{' that does not end");
    }
    THAW_TRY_DO(token());
  }
}

Result<Done> Lexer::token() {
  const char c = peek();
  if (is_digit(c)) {
    number();
    return Done{};
  }
  if (is_name_start(c)) {
    std::size_t length = 1;
    while (is_name(peek(length))) ++length;
    push(TokenKind::kName, rest_.substr(at_, length));
    skip(length);
    return Done{};
  }
  if (c == '"' || c == '\'') return string();
  return operation();
}

void Lexer::number() {
  std::size_t length = 1;
  TokenKind kind = TokenKind::kInteger;
  const auto digits = [&] {
    while (is_digit(peek(length)) || (peek(length) == '_' && is_digit(peek(length + 1)))) ++length;
  };
  const char base = static_cast<char>(peek(1) | 0x20);
  if (peek() == '0' && (base == 'x' || base == 'o' || base == 'b')) {
    ++length;
    while (is_name(peek(length))) ++length;
  } else {
    digits();
    // "messages.0.1" is two items, not one and a fraction.
    const bool may_have_point = at_ == 0 || rest_[at_ - 1] != '.';
    if (may_have_point && peek(length) == '.' && is_digit(peek(length + 1))) {
      kind = TokenKind::kFloat;
      ++length;
      digits();
    }
    const std::size_t sign = peek(length + 1) == '+' || peek(length + 1) == '-' ? 2 : 1;
    if (may_have_point && (peek(length) | 0x20) == 'e' && is_digit(peek(length + sign))) {
      kind = TokenKind::kFloat;
      length += sign;
      digits();
    }
  }
  push(kind, rest_.substr(at_, length));
  skip(length);
}

Result<Done> Lexer::string() {
  const char mark = peek();
  std::size_t end = at_ + 1;
  while (end < rest_.size() && rest_[end] != mark) end += rest_[end] == '\\' ? 2 : 1;
  if (end >= rest_.size()) return error("a string that does not end");
  THAW_TRY(text, unescape(rest_.substr(at_ + 1, end - at_ - 1)));
  push(TokenKind::kString, text);
  skip(end + 1 - at_);
  return Done{};
}

// Python's escapes: an unknown one stays as it is, its backslash included.
Result<std::string> Lexer::unescape(std::string_view text) const {
  static constexpr std::string_view kFrom = "\\'\"abfnrtv";
  static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 >= text.size()) {
      out.push_back(text[at]);
      continue;
    }
    const char c = text[++at];
    if (const std::size_t simple = kFrom.find(c); simple != std::string_view::npos) {
      out.push_back(kTo[simple]);
    } else if (c == '\n') {
      continue;  // a line goes on
    } else if (c == 'N') {
      return error("a character named by '\\N{...}'", Code::kUnsupported);
    } else if (c == 'x' || c == 'u' || c == 'U' || (c >= '0' && c <= '7')) {
      const bool octal = c >= '0' && c <= '7';
      const std::size_t wanted = octal ? 3 : c == 'x' ? 2 : c == 'u' ? 4 : 8;
      const std::size_t from = octal ? at : at + 1;
      std::size_t used = 0;
      std::uint32_t code = 0;
      for (; used < wanted && from + used < text.size(); ++used) {
        const char d = text[from + used];
        const std::string_view alphabet = octal ? "01234567" : "0123456789abcdef";
        const std::size_t digit =
            alphabet.find(octal || is_digit(d) ? d : static_cast<char>(d | 0x20));
        if (digit == std::string_view::npos) break;
        code = code * (octal ? 8 : 16) + static_cast<std::uint32_t>(digit);
      }
      if ((!octal && used < wanted) || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
        return error("a string escape that is no character");
      }
      append_utf8(out, code);
      at = from + used - 1;
    } else {
      out.push_back('\\');
      out.push_back(c);
    }
  }
  return out;
}

Result<Done> Lexer::operation() {
  static constexpr std::string_view kOperators[] = {
      "//", "**", "==", "!=", "<=", ">=", "+", "-", "/", "*", "%", "~", "[",
      "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
  for (const std::string_view op : kOperators) {
    if (!at(op)) continue;
    const char c = op[0];
    if (c == '(' || c == '[' || c == '{') nesting_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    if (c == ')' || c == ']' || c == '}') {
      if (nesting_.empty() || nesting_.back() != c) {
        return error(cat("found '", op, "', which nothing opened"));
      }
      nesting_.pop_back();
    }
    push(TokenKind::kOperator, op);
    skip(op.size());
    return Done{};
  }
  const Character c = character_at(rest_, at_);
  if (c.code >= 0x80 && is_printable(c.code)) {
    return error("a name outside of ASCII", Code::kUnsupported);
  }
  return error(c.code >= 0x20 && c.code < 0x7F ? cat("found '", peek(), "', which no tag may hold")
                                               : std::string("a character that no tag may hold"));
}

}  // namespace

Result<std::vector<Token>> lex(std::string_view source) { return Lexer(source).run(); }

}  // namespace thaw::text::jinja
