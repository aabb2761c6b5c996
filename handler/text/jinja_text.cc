#include "handler/text/jinja_text.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <span>

#include "handler/text/jinja_case_tables.h"
#include "handler/text/unicode.h"

namespace thaw::text::jinja {

std::string_view Text::run_bytes(std::size_t run) const {
  const std::size_t end = run + 1 < runs_.size() ? runs_[run + 1].begin : bytes_.size();
  return std::string_view(bytes_).substr(runs_[run].begin, end - runs_[run].begin);
}

void Text::append(std::string_view bytes, bool is_special) {
  if (bytes.empty()) return;
  if (runs_.empty() || runs_.back().is_special != is_special) {
    runs_.push_back({bytes_.size(), is_special});
  }
  bytes_.append(bytes);
}

void Text::append(const Text& text, std::size_t begin, std::size_t end) {
  if (begin >= end) return;
  auto run = std::upper_bound(text.runs_.begin(), text.runs_.end(), begin,
                              [](std::size_t at, const Run& r) { return at < r.begin; });
  const std::string_view all = text.bytes_;
  for (--run; begin < end; ++run) {
    const auto next = run + 1;
    const std::size_t run_end = next == text.runs_.end() ? end : std::min(end, next->begin);
    append(all.substr(begin, run_end - begin), run->is_special);
    begin = run_end;
  }
}

Text Text::slice(std::size_t begin, std::size_t end) const {
  Text part;
  part.append(*this, begin, end);
  return part;
}

Character character_at(std::string_view bytes, std::size_t at) {
  const auto first = static_cast<unsigned char>(bytes[at]);
  if (first < 0x80) return {first, 1};
  const Utf8 decoded = decode_utf8(bytes.substr(at, 4));
  if (decoded.status != Utf8::Status::kValid) return {0xFFFD, 1};
  return {decoded.code_point, decoded.bytes};
}

std::size_t count_characters(std::string_view bytes) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < bytes.size(); ++count) at += character_at(bytes, at).bytes;
  return count;
}

bool is_space(char32_t code) {
  if (code <= 0x20) return code == 0x20 || (code >= 9 && code <= 13) || (code >= 0x1C);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_printable(char32_t code) {
  const CharClass kind = class_of(code);
  return code == ' ' || (kind != kOther && kind != kSpace);
}

bool is_digits(std::string_view bytes) {
  return !bytes.empty() && bytes.find_first_not_of("0123456789") == std::string_view::npos;
}

namespace {

bool strips(char32_t code, const std::optional<std::u32string>& characters) {
  return characters ? characters->find(code) != std::u32string::npos : is_space(code);
}

std::u32string decode(std::string_view bytes) {
  std::u32string codes;
  for (std::size_t at = 0; at < bytes.size();) {
    const Character c = character_at(bytes, at);
    codes.push_back(c.code);
    at += c.bytes;
  }
  return codes;
}

// The character that ends before `end` > 0.
Character character_before(std::string_view bytes, std::size_t end) {
  for (std::size_t length = std::min<std::size_t>(4, end); length > 1; --length) {
    const Character c = character_at(bytes.substr(0, end), end - length);
    if (c.bytes == length) return c;
  }
  return character_at(bytes, end - 1);
}

}  // namespace

Text strip(const Text& text, Side side, std::optional<std::string_view> characters) {
  std::optional<std::u32string> set;
  if (characters) set = decode(*characters);
  const std::string_view bytes = text.view();
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  while (side != Side::kRight && begin < end) {
    const Character c = character_at(bytes, begin);
    if (!strips(c.code, set)) break;
    begin += c.bytes;
  }
  while (side != Side::kLeft && end > begin) {
    const Character c = character_before(bytes, end);
    if (!strips(c.code, set)) break;
    end -= std::min(c.bytes, end - begin);
  }
  return text.slice(begin, end);
}

namespace {

struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Where `separator`, or a stretch of white space, lies in the text: left to right, not overlapping.
std::vector<Span> find_separators(std::string_view bytes,
                                  std::optional<std::string_view> separator) {
  std::vector<Span> found;
  if (separator) {
    for (std::size_t at = bytes.find(*separator); at != std::string_view::npos;
         at = bytes.find(*separator, at + separator->size())) {
      found.push_back({at, at + separator->size()});
    }
    return found;
  }
  for (std::size_t at = 0; at < bytes.size();) {
    const Character c = character_at(bytes, at);
    if (is_space(c.code)) {
      if (!found.empty() && found.back().end == at)
        found.back().end += c.bytes;
      else
        found.push_back({at, at + c.bytes});
    }
    at += c.bytes;
  }
  return found;
}

// rsplit looks from the right, which matters where occurrences overlap ("aaa" at "aa").
std::vector<Span> find_separators_from_right(std::string_view bytes, std::string_view separator) {
  std::vector<Span> found;
  std::size_t end = bytes.size();
  while (end >= separator.size()) {
    const std::size_t at = bytes.rfind(separator, end - separator.size());
    if (at == std::string_view::npos) break;
    found.push_back({at, at + separator.size()});
    end = at;
  }
  std::reverse(found.begin(), found.end());
  return found;
}

}  // namespace

std::vector<Text> split(const Text& text, std::optional<std::string_view> separator,
                        std::int64_t splits_max, bool from_right) {
  const Text whole = separator ? text : strip(text, Side::kBoth, std::nullopt);
  std::vector<Span> at = separator && from_right
                             ? find_separators_from_right(whole.view(), *separator)
                             : find_separators(whole.view(), separator);
  const std::size_t keep =
      splits_max < 0 ? at.size() : std::min(at.size(), static_cast<std::size_t>(splits_max));
  if (from_right)
    at.erase(at.begin(), at.end() - static_cast<std::ptrdiff_t>(keep));
  else
    at.resize(keep);
  std::vector<Text> parts;
  if (!separator && whole.empty()) return parts;
  std::size_t begin = 0;
  for (const Span& span : at) {
    parts.push_back(whole.slice(begin, span.begin));
    begin = span.end;
  }
  parts.push_back(whole.slice(begin, whole.size()));
  if (!separator && keep < find_separators(whole.view(), {}).size()) {
    // Python keeps white space at the far end of the part that was not split.
    if (from_right) {
      const Text head = strip(text, Side::kRight, std::nullopt);
      const std::size_t lead = head.size() - whole.size();
      parts.front() = head.slice(0, lead + parts.front().size());
    } else {
      const Text tail = strip(text, Side::kLeft, std::nullopt);
      parts.back() = tail.slice(begin, tail.size());
    }
  }
  return parts;
}

std::vector<Text> split_lines(const Text& text, bool keep_ends) {
  std::vector<Text> lines;
  const std::string_view bytes = text.view();
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const Character c = character_at(bytes, at);
    std::size_t end = at + c.bytes;
    const bool ends = (c.code >= 10 && c.code <= 13) || (c.code >= 0x1C && c.code <= 0x1E) ||
                      c.code == 0x85 || c.code == 0x2028 || c.code == 0x2029;
    if (ends) {
      if (c.code == '\r' && end < bytes.size() && bytes[end] == '\n') ++end;
      lines.push_back(text.slice(begin, keep_ends ? end : at));
      begin = end;
    }
    at = end;
  }
  if (begin < bytes.size()) lines.push_back(text.slice(begin, bytes.size()));
  return lines;
}

Text replace(const Text& text, std::string_view old, const Text& with, std::int64_t count) {
  Text out;
  const std::string_view bytes = text.view();
  std::size_t at = 0;
  if (old.empty()) {  // between all characters, and at both ends
    for (; count != 0; --count) {
      out.append(with);
      if (at == bytes.size()) return out;
      const std::size_t length = character_at(bytes, at).bytes;
      out.append(text, at, at + length);
      at += length;
    }
  }
  while (count != 0) {
    const std::size_t found = bytes.find(old, at);
    if (found == std::string_view::npos) break;
    out.append(text, at, found);
    out.append(with);
    at = found + old.size();
    --count;
  }
  out.append(text, at, text.size());
  return out;
}

namespace {

char32_t map_case(std::span<const CaseRange> ranges, char32_t code) {
  auto after = std::upper_bound(ranges.begin(), ranges.end(), code,
                                [](char32_t c, const CaseRange& r) { return c < r.first; });
  if (after == ranges.begin()) return code;
  const CaseRange& range = *std::prev(after);
  if (code > range.last || (code - range.first) % range.stride != 0) return code;
  return static_cast<char32_t>(static_cast<std::int64_t>(code) + range.delta);
}

char32_t upper_of(char32_t code) {
  if (code < 0x80) return code >= 'a' && code <= 'z' ? code - 32 : code;
  return map_case(kUpperRanges, code);
}

char32_t lower_of(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  return map_case(kLowerRanges, code);
}

bool is_cased(char32_t code) { return upper_of(code) != code || lower_of(code) != code; }

bool begins_word_after(char32_t code) {
  return is_space(code) || code == '-' || code == '(' || code == '{' || code == '[' || code == '<';
}

void append_upper(std::string& to, char32_t code) {
  if (code == 0xDF) {  // the one full mapping that texts really meet
    to += "SS";
    return;
  }
  append_utf8(to, upper_of(code));
}

}  // namespace

Text change_case(const Text& text, Case to) {
  Text out;
  bool starts = true;  // the next character begins a word
  for (std::size_t run = 0; run < text.runs().size(); ++run) {
    const std::string_view bytes = text.run_bytes(run);
    std::string changed;
    for (std::size_t at = 0; at < bytes.size();) {
      const Character c = character_at(bytes, at);
      const bool upper = to == Case::kUpper || (to != Case::kLower && starts);
      if (c.code == 0xFFFD) {
        changed.append(bytes.substr(at, c.bytes));  // an invalid byte stays what it is
      } else if (upper) {
        append_upper(changed, c.code);
      } else {
        append_utf8(changed, lower_of(c.code));
      }
      starts =
          to == Case::kTitle ? !is_cased(c.code) : to == Case::kWords && begins_word_after(c.code);
      at += c.bytes;
    }
    out.append(changed, text.runs()[run].is_special);
  }
  return out;
}

bool is_case(std::string_view bytes, bool upper) {
  bool any = false;
  for (std::size_t at = 0; at < bytes.size();) {
    const Character c = character_at(bytes, at);
    at += c.bytes;
    if (!is_cased(c.code)) continue;
    if ((lower_of(c.code) != c.code) != upper) return false;
    any = true;
  }
  return any;
}

namespace {

std::string hex(const char* format, unsigned value) {
  char digits[16];
  std::snprintf(digits, sizeof digits, format, value);
  return digits;
}

std::string repr_character(char32_t code, std::string_view bytes, char quote) {
  if (code == static_cast<char32_t>(quote) || code == '\\') return {'\\', static_cast<char>(code)};
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  if (is_printable(code)) return std::string(bytes);
  if (code < 0x100) return hex("\\x%02x", code);
  return code < 0x10000 ? hex("\\u%04x", code) : hex("\\U%08x", code);
}

std::string json_character(char32_t code, std::string_view bytes, bool ascii_only) {
  switch (code) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    case '\b': return "\\b";
    case '\f': return "\\f";
    default: break;
  }
  if (code < 0x20) return hex("\\u%04x", code);
  if (!ascii_only || code < 0x7F) return std::string(bytes);
  if (code < 0x10000) return hex("\\u%04x", code);
  return hex("\\u%04x", 0xD800 + ((code - 0x10000) >> 10)) +
         hex("\\u%04x", 0xDC00 + ((code - 0x10000) & 0x3FF));
}

// Both quoted forms: each run is escaped apart, so that it keeps its origin.
template <class Escape>
Text quote(const Text& text, char mark, const Escape& escape) {
  Text out;
  const bool first_special = text.empty() || text.runs().front().is_special;
  const bool last_special = text.empty() || text.runs().back().is_special;
  out.append(std::string_view(&mark, 1), first_special);
  for (std::size_t run = 0; run < text.runs().size(); ++run) {
    const std::string_view bytes = text.run_bytes(run);
    std::string escaped;
    for (std::size_t at = 0; at < bytes.size();) {
      const Character c = character_at(bytes, at);
      escaped += escape(c.code, bytes.substr(at, c.bytes));
      at += c.bytes;
    }
    out.append(escaped, text.runs()[run].is_special);
  }
  out.append(std::string_view(&mark, 1), last_special);
  return out;
}

}  // namespace

Text repr(const Text& text) {
  const bool has_single = text.view().find('\'') != std::string_view::npos;
  const bool has_double = text.view().find('"') != std::string_view::npos;
  const char mark = has_single && !has_double ? '"' : '\'';
  return quote(text, mark, [mark](char32_t code, std::string_view bytes) {
    return repr_character(code, bytes, mark);
  });
}

Text json_string(const Text& text, bool ascii_only) {
  return quote(text, '"', [ascii_only](char32_t code, std::string_view bytes) {
    return json_character(code, bytes, ascii_only);
  });
}

}  // namespace thaw::text::jinja
