#include "handler/text/unicode.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

namespace thaw::text {
namespace {

struct ClassRun {
  std::uint32_t first;
  std::uint8_t value;
};
constexpr ClassRun kClassRuns[] = {
#include "handler/text/unicode_classes.inc"
};
constexpr ClassRun kCombiningRuns[] = {
#include "handler/text/unicode_combining.inc"
};

struct Decomposition {
  std::uint32_t code_point;
  std::array<std::uint32_t, 4> to;  // zero-padded
};
constexpr Decomposition kDecompositions[] = {
#include "handler/text/unicode_decompositions.inc"
};

struct Composition {
  std::uint32_t first;
  std::uint32_t second;
  std::uint32_t composite;
};
constexpr Composition kCompositions[] = {
#include "handler/text/unicode_compositions.inc"
};

// Hangul syllables are composed by arithmetic: Unicode, section 3.12.
constexpr std::uint32_t kSyllables = 0xAC00;
constexpr std::uint32_t kLeading = 0x1100;
constexpr std::uint32_t kVowels = 0x1161;
constexpr std::uint32_t kTrailing = 0x11A7;  // one before the first: no trailing consonant
constexpr std::uint32_t kLeadingCount = 19;
constexpr std::uint32_t kVowelCount = 21;
constexpr std::uint32_t kTrailingCount = 28;
constexpr std::uint32_t kSyllableCount = kLeadingCount * kVowelCount * kTrailingCount;

// Every character below it is a starter, composed, and composes with nothing before it.
constexpr char32_t kFirstThatCombines = 0x300;

// The value of the run that holds `code_point`; the first run begins at zero.
template <std::size_t kCount>
constexpr std::uint8_t value_in(const ClassRun (&runs)[kCount], std::uint32_t code_point) {
  const auto after = std::upper_bound(
      std::begin(runs), std::end(runs), code_point,
      [](std::uint32_t wanted, const ClassRun& run) { return wanted < run.first; });
  return std::prev(after)->value;
}

constexpr std::array<std::uint8_t, 128> kAsciiClasses = [] {
  std::array<std::uint8_t, 128> classes{};
  for (std::uint32_t c = 0; c < classes.size(); ++c) classes[c] = value_in(kClassRuns, c);
  return classes;
}();

struct Mark {
  char32_t code_point;
  std::uint8_t combining;  // canonical combining class; 0: a starter
};

void decompose(char32_t code_point, std::vector<Mark>& to) {
  const std::uint32_t syllable = code_point - kSyllables;
  if (syllable < kSyllableCount) {
    to.push_back({kLeading + syllable / (kVowelCount * kTrailingCount), 0});
    to.push_back({kVowels + syllable % (kVowelCount * kTrailingCount) / kTrailingCount, 0});
    if (syllable % kTrailingCount != 0) to.push_back({kTrailing + syllable % kTrailingCount, 0});
    return;
  }
  const auto found = std::lower_bound(
      std::begin(kDecompositions), std::end(kDecompositions), code_point,
      [](const Decomposition& entry, char32_t wanted) { return entry.code_point < wanted; });
  if (found == std::end(kDecompositions) || found->code_point != code_point) {
    to.push_back({code_point, value_in(kCombiningRuns, code_point)});
    return;
  }
  for (const std::uint32_t part : found->to) {
    if (part != 0) to.push_back({part, value_in(kCombiningRuns, part)});
  }
}

// The primary composite of two characters, or 0.
char32_t composite_of(char32_t first, char32_t second) {
  if (first - kLeading < kLeadingCount && second - kVowels < kVowelCount) {
    return kSyllables + ((first - kLeading) * kVowelCount + (second - kVowels)) * kTrailingCount;
  }
  const std::uint32_t syllable = first - kSyllables;
  if (syllable < kSyllableCount && syllable % kTrailingCount == 0 && second > kTrailing &&
      second < kTrailing + kTrailingCount) {
    return first + (second - kTrailing);
  }
  const auto found = std::lower_bound(
      std::begin(kCompositions), std::end(kCompositions), Composition{first, second, 0},
      [](const Composition& a, const Composition& b) {
        return a.first != b.first ? a.first < b.first : a.second < b.second;
      });
  if (found == std::end(kCompositions) || found->first != first || found->second != second)
    return 0;
  return found->composite;
}

// Canonical ordering, then canonical composition, of a decomposed run; Unicode, section 3.11.
void compose(std::vector<Mark>& run) {
  for (std::size_t begin = 0; begin < run.size();) {
    std::size_t end = begin + 1;
    while (end < run.size() && run[end].combining != 0) ++end;
    const std::size_t first_mark = begin + (run[begin].combining == 0 ? 1u : 0u);
    if (end - first_mark > 1) {  // rarely so, and sorting would allocate even for none
      std::stable_sort(run.begin() + static_cast<std::ptrdiff_t>(first_mark),
                       run.begin() + static_cast<std::ptrdiff_t>(end),
                       [](const Mark& a, const Mark& b) { return a.combining < b.combining; });
    }
    begin = end;
  }
  constexpr std::size_t kNone = SIZE_MAX;
  std::size_t starter = kNone;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < run.size(); ++i) {
    // Nothing stands between a mark and its starter if what was kept last has a smaller class.
    const bool is_reached =
        starter != kNone && (kept - 1 == starter || run[kept - 1].combining < run[i].combining);
    const char32_t composite =
        is_reached ? composite_of(run[starter].code_point, run[i].code_point) : 0;
    if (composite != 0) {
      run[starter].code_point = composite;
      continue;
    }
    if (run[i].combining == 0) starter = kept;
    run[kept++] = run[i];
  }
  run.resize(kept);
}

}  // namespace

CharClass class_of(char32_t code_point) {
  if (code_point < kAsciiClasses.size()) return static_cast<CharClass>(kAsciiClasses[code_point]);
  return static_cast<CharClass>(value_in(kClassRuns, code_point));
}

Utf8 decode_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, Utf8::Status::kValid};
  if (lead < 0xC2 || lead > 0xF4) return {0, 1, Utf8::Status::kInvalid};
  const std::uint8_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's bounds keep out overlong forms, surrogates and what lies beyond 10FFFF.
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  char32_t code_point = lead & (0x7Fu >> size);
  for (std::uint8_t i = 1; i < size; ++i) {
    if (i == text.size()) return {0, i, Utf8::Status::kCutShort};
    if (byte(i) < low || byte(i) > high) return {0, i, Utf8::Status::kInvalid};
    code_point = code_point << 6 | (byte(i) & 0x3Fu);
    low = 0x80;
    high = 0xBF;
  }
  return {code_point, size, Utf8::Status::kValid};
}

void append_utf8(std::string& to, char32_t code_point) {
  const auto put = [&](std::uint32_t byte) { to.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

bool is_surely_nfc(std::string_view text) {
  constexpr std::uint8_t kLeadOfFirstThatCombines = 0xCC;  // U+0300 is CC 80
  return std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<std::uint8_t>(c) < kLeadOfFirstThatCombines;
  });
}

void append_nfc(std::string& to, std::string_view text) {
  std::vector<Mark> run;
  const auto flush = [&] {
    compose(run);
    for (const Mark& mark : run) append_utf8(to, mark.code_point);
    run.clear();
  };
  while (!text.empty()) {
    const Utf8 next = decode_utf8(text);
    if (next.status != Utf8::Status::kValid) {
      flush();
      to.append(text.substr(0, next.bytes));
    } else {
      // Such a character composes with nothing before it, which bounds the run.
      if (next.code_point < kFirstThatCombines) flush();
      decompose(next.code_point, run);
    }
    text.remove_prefix(next.bytes);
  }
  flush();
}

}  // namespace thaw::text
