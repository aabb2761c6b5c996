#include "handler/text/pre_tokenizer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "handler/text/unicode.h"

namespace thaw::text {
namespace {

struct Name {
  std::string_view name;
  PreTokenizer pre;
};
constexpr Name kNames[] = {
    {"gpt-2", PreTokenizer::kGpt2},
    {"smollm", PreTokenizer::kSmolLm},
    {"starcoder", PreTokenizer::kSmolLm},
    {"refact", PreTokenizer::kSmolLm},
    {"llama-bpe", PreTokenizer::kLlama3},
    {"llama3", PreTokenizer::kLlama3},
    {"llama-v3", PreTokenizer::kLlama3},
    {"qwen2", PreTokenizer::kQwen2},
    {"deepseek-r1-qwen", PreTokenizer::kQwen2},
    {"deepseek-llm", PreTokenizer::kDeepSeekLlm},
    {"deepseek-coder", PreTokenizer::kDeepSeekCoder},
    {"deepseek-v3", PreTokenizer::kDeepSeekV3},
};

struct Character {
  char32_t code_point = 0;
  std::size_t bytes = 0;  // 0: the end of the text
  CharClass kind = kOther;

  bool is(int classes) const { return (kind & classes) != 0; }
  bool is_newline() const { return code_point == '\r' || code_point == '\n'; }
};

// One piece of an earlier step, walked by offsets. A regular expression cannot look beyond it.
class Text {
 public:
  explicit Text(std::string_view text) : text_(text) {}

  std::size_t size() const { return text_.size(); }
  char byte(std::size_t at) const { return at < text_.size() ? text_[at] : '\0'; }

  Character at(std::size_t offset) const {
    if (offset >= text_.size()) return {};
    const Utf8 next = decode_utf8(text_.substr(offset));
    if (next.status != Utf8::Status::kValid) return {0xFFFFFFFF, 1, kOther};
    return {next.code_point, next.bytes, class_of(next.code_point)};
  }

  // The end of the run of characters from `offset` on that satisfy `wanted`, at most `count_max`.
  template <class Wanted>
  std::size_t run(std::size_t offset, Wanted wanted, std::size_t count_max = SIZE_MAX) const {
    for (; count_max > 0; --count_max) {
      const Character next = at(offset);
      if (next.bytes == 0 || !wanted(next)) break;
      offset += next.bytes;
    }
    return offset;
  }
  std::size_t run_of(std::size_t offset, int classes, std::size_t count_max = SIZE_MAX) const {
    return run(
        offset, [=](const Character& c) { return c.is(classes); }, count_max);
  }
  std::size_t run_of_newlines(std::size_t offset) const {
    return run(offset, [](const Character& c) { return c.is_newline(); });
  }

 private:
  std::string_view text_;
};

// A matcher gives the end of its match at `at`, or `at` itself where there is none.

// \s*[\r\n]+|\s+(?!\S)|\s+   without_newlines: only the last two
std::size_t match_space(const Text& text, std::size_t at, bool with_newlines) {
  std::size_t end = at;
  std::size_t before_last = at;
  std::size_t after_newline = at;
  for (;;) {
    const Character next = text.at(end);
    if (next.bytes == 0 || !next.is(kSpace)) break;
    before_last = end;
    end += next.bytes;
    if (next.is_newline()) after_newline = end;
  }
  if (with_newlines && after_newline > at) return after_newline;
  if (end == text.size() || before_last == at) return end;
  return before_last;  // the last space belongs to what follows
}

// '(?:[sdmt]|ll|ve|re), in small letters or in any case (Unicode folds U+017F to s)
std::size_t match_contraction(const Text& text, std::size_t at, bool any_case) {
  if (text.byte(at) != '\'') return at;
  const auto letter = [&](std::size_t offset) -> char {
    const char c = text.byte(offset);
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(at + 1);
  const char second = letter(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if (first == 'l' && second == 'l') return at + 3;
  if ((first == 'v' || first == 'r') && second == 'e') return at + 3;
  constexpr char32_t kLongS = 0x17F;
  const Character next = text.at(at + 1);
  if (any_case && next.code_point == kLongS) return at + 1 + next.bytes;
  return at;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t match_gpt2(const Text& text, std::size_t at) {
  if (const std::size_t end = match_contraction(text, at, false); end > at) return end;
  const std::size_t body = at + (text.byte(at) == ' ' ? 1 : 0);
  const Character first = text.at(body);
  if (first.bytes != 0 && !first.is(kSpace)) {
    if (first.is(kLetter)) return text.run_of(body, kLetter);
    if (first.is(kNumber)) return text.run_of(body, kNumber);
    return text.run(body, [](const Character& c) { return !c.is(kSpace | kLetter | kNumber); });
  }
  return match_space(text, at, false);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits_max}|
//  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
std::size_t match_llama3(const Text& text, std::size_t at, std::size_t digits_max) {
  if (const std::size_t end = match_contraction(text, at, true); end > at) return end;
  const Character first = text.at(at);
  if (first.is(kLetter)) return text.run_of(at, kLetter);
  if (first.is(kNumber)) return text.run_of(at, kNumber, digits_max);
  const Character second = text.at(at + first.bytes);
  if (!first.is_newline() && second.is(kLetter)) return text.run_of(at + first.bytes, kLetter);
  const std::size_t body = at + (first.code_point == ' ' ? 1 : 0);
  const Character symbol = body > at ? second : first;
  if (symbol.bytes != 0 && !symbol.is(kSpace | kLetter | kNumber)) {
    return text.run_of_newlines(
        text.run(body, [](const Character& c) { return !c.is(kSpace | kLetter | kNumber); }));
  }
  return match_space(text, at, true);
}

bool is_ascii_letter(char32_t c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool is_ascii_punctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

// [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
//  ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
std::size_t match_deepseek_v3(const Text& text, std::size_t at) {
  const Character first = text.at(at);
  const Character second = text.at(at + first.bytes);
  const std::size_t rest = at + first.bytes;
  if (is_ascii_punctuation(first.code_point) && is_ascii_letter(second.code_point)) {
    return text.run(rest, [](const Character& c) { return is_ascii_letter(c.code_point); });
  }
  if (first.is(kLetter | kMark)) return text.run_of(at, kLetter | kMark);
  if (!first.is_newline() && !first.is(kPunctuation | kSymbol) && second.is(kLetter | kMark)) {
    return text.run_of(rest, kLetter | kMark);
  }
  if (first.is(kPunctuation | kSymbol)) {
    return text.run_of_newlines(text.run_of(at, kPunctuation | kSymbol));
  }
  if (first.code_point == ' ' && second.is(kPunctuation | kSymbol)) {
    return text.run_of_newlines(text.run_of(rest, kPunctuation | kSymbol));
  }
  return match_space(text, at, true);
}

struct Range {
  char32_t first;
  char32_t last;
};

template <std::size_t kCount>
bool is_in(const Range (&ranges)[kCount], char32_t c) {
  const auto after =
      std::upper_bound(std::begin(ranges), std::end(ranges), c,
                       [](char32_t wanted, const Range& range) { return wanted < range.first; });
  return after != std::begin(ranges) && c <= std::prev(after)->last;
}

// deepseek-llm lists its letters one by one: cased letters of an older Unicode, not \p{L}.
constexpr Range kDeepSeekLetters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},
    {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
    {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x377},     {0x37B, 0x37D},
    {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},
    {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
    {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},
    {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},
    {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},
    {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},
    {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
    {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},
    {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},
    {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
    {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
};
// [!-/:-~！-／：-～‘-‟　-。]: the second range holds the ASCII letters too.
constexpr Range kDeepSeekPunctuation[] = {
    {0x21, 0x2F},     {0x3A, 0x7E},     {0x2018, 0x201F},
    {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E},
};
// [一-龥ࠀ-一가-퟿]: far more than Chinese and Korean.
constexpr Range kDeepSeekEastern[] = {{0x800, 0x9FA5}, {0xAC00, 0xD7FF}};
// [一-龥぀-ゟ゠-ヿ]
constexpr Range kDeepSeekV3Eastern[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};

// \s?[wanted]+
template <class Wanted>
std::size_t match_after_space(const Text& text, std::size_t at, Wanted wanted) {
  const Character first = text.at(at);
  const std::size_t rest = at + first.bytes;
  if (first.is(kSpace)) {
    if (const std::size_t end = text.run(rest, wanted); end > rest) return end;
  }
  return wanted(first) ? text.run(at, wanted) : at;
}

// The pieces that earlier steps left, each cut further by the next step.
class Steps {
 public:
  Steps(std::string_view text, std::vector<std::size_t>& ends) : text_(text), ends_(ends) {
    if (!text.empty()) pieces_.push_back(text.size());
  }
  ~Steps() { ends_.insert(ends_.end(), pieces_.begin(), pieces_.end()); }
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  // Every match becomes a piece of its own, and so does what lies between matches.
  template <class Match>
  void isolate(Match match) {
    cut([&](const Text& piece, std::size_t begin) {
      for (std::size_t at = 0, gap = 0; at < piece.size();) {
        const std::size_t end = match(piece, at);
        if (end == at) {
          at += piece.at(at).bytes;
          if (at == piece.size()) next_.push_back(begin + at);
          continue;
        }
        if (gap < at) next_.push_back(begin + at);
        next_.push_back(begin + end);
        at = gap = end;
      }
    });
  }

  // \s+$ isolated, without trying every space of a run that does not end the piece.
  void isolate_trailing_space() {
    cut([&](const Text& piece, std::size_t begin) {
      std::size_t trailing = 0;
      for (std::size_t at = 0; at < piece.size();) {
        const Character next = piece.at(at);
        at += next.bytes;
        if (!next.is(kSpace)) trailing = at;
      }
      if (trailing > 0) next_.push_back(begin + trailing);
      if (trailing < piece.size()) next_.push_back(begin + piece.size());
    });
  }

 private:
  template <class Cut>
  void cut(Cut cut_piece) {
    next_.clear();
    std::size_t begin = 0;
    for (const std::size_t end : pieces_) {
      cut_piece(Text(text_.substr(begin, end - begin)), begin);
      begin = end;
    }
    std::swap(pieces_, next_);
  }

  std::string_view text_;
  std::vector<std::size_t>& ends_;
  std::vector<std::size_t> pieces_;
  std::vector<std::size_t> next_;
};

std::size_t match_numbers(const Text& text, std::size_t at, std::size_t count_max) {
  return text.run_of(at, kNumber, count_max);
}

std::size_t match_newline(const Text& text, std::size_t at) {
  return text.at(at).is_newline() ? at + 1 : at;
}

std::size_t match_eastern(const Text& text, std::size_t at) {
  return text.run(at, [](const Character& c) { return is_in(kDeepSeekEastern, c.code_point); });
}

void split_deepseek_llm(Steps& steps) {
  steps.isolate(match_newline);
  steps.isolate([](const Text& text, std::size_t at) {
    return match_after_space(
        text, at, [](const Character& c) { return is_in(kDeepSeekLetters, c.code_point); });
  });
  steps.isolate([](const Text& text, std::size_t at) {
    return match_after_space(
        text, at, [](const Character& c) { return is_in(kDeepSeekPunctuation, c.code_point); });
  });
  steps.isolate_trailing_space();
  steps.isolate(match_eastern);
  steps.isolate([](const Text& text, std::size_t at) { return match_numbers(text, at, SIZE_MAX); });
}

void split_deepseek_coder(Steps& steps) {
  steps.isolate(match_newline);
  steps.isolate([](const Text& text, std::size_t at) {
    return match_after_space(text, at, [](const Character& c) { return c.is(kLetter); });
  });
  steps.isolate([](const Text& text, std::size_t at) {
    return match_after_space(text, at, [](const Character& c) { return c.is(kPunctuation); });
  });
  steps.isolate(match_eastern);
  steps.isolate([](const Text& text, std::size_t at) { return match_numbers(text, at, 1); });
}

void split_deepseek_v3(Steps& steps) {
  steps.isolate([](const Text& text, std::size_t at) { return match_numbers(text, at, 3); });
  steps.isolate([](const Text& text, std::size_t at) {
    return text.run(at, [](const Character& c) { return is_in(kDeepSeekV3Eastern, c.code_point); });
  });
  steps.isolate(match_deepseek_v3);
}

}  // namespace

std::optional<PreTokenizer> pre_tokenizer_named(std::string_view name) {
  for (const Name& known : kNames) {
    if (known.name == name) return known.pre;
  }
  return std::nullopt;
}

std::string pre_tokenizer_names() {
  std::string names;
  for (const Name& known : kNames) {
    if (!names.empty()) names += ", ";
    names += known.name;
  }
  return names;
}

void split(PreTokenizer pre, std::string_view text, std::vector<std::size_t>& ends) {
  Steps steps(text, ends);
  switch (pre) {
    case PreTokenizer::kNone: break;
    case PreTokenizer::kGpt2: steps.isolate(match_gpt2); break;
    case PreTokenizer::kSmolLm:
      steps.isolate([](const Text& piece, std::size_t at) { return match_numbers(piece, at, 1); });
      steps.isolate(match_gpt2);
      break;
    case PreTokenizer::kLlama3:
      steps.isolate([](const Text& piece, std::size_t at) { return match_llama3(piece, at, 3); });
      break;
    case PreTokenizer::kQwen2:
      steps.isolate([](const Text& piece, std::size_t at) { return match_llama3(piece, at, 1); });
      break;
    case PreTokenizer::kDeepSeekLlm: split_deepseek_llm(steps); break;
    case PreTokenizer::kDeepSeekCoder: split_deepseek_coder(steps); break;
    case PreTokenizer::kDeepSeekV3: split_deepseek_v3(steps); break;
  }
}

}  // namespace thaw::text
