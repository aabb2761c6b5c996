#include "handler/text/unicode.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>
#include <string>

#include "base/random.h"
#include "regex_oracle.h"

namespace thaw::text {
namespace {

bool is_scalar_value(char32_t c) { return c < 0xD800 || c > 0xDFFF; }

int expected_class(char32_t c) {
  const bool is_space = (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 ||
                        c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
                        c == 0x202F || c == 0x205F || c == 0x3000;
  if (is_space) return kSpace;
  switch (utf8proc_category_string(static_cast<utf8proc_int32_t>(c))[0]) {
    case 'L': return kLetter;
    case 'M': return kMark;
    case 'N': return kNumber;
    case 'P': return kPunctuation;
    case 'S': return kSymbol;
    default: return kOther;
  }
}

TEST(Unicode, EveryCodePointHasUtf8procsClass) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (!is_scalar_value(c)) continue;
    ASSERT_EQ(class_of(c), expected_class(c)) << std::hex << int(c);
  }
}

TEST(Unicode, ClassesDifferFromPcre2sOnlyWhereOneUnicodeIsOlder) {
  int differences = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (!is_scalar_value(c)) continue;
    const CharClass theirs = test::regex_class_of(c);
    if (class_of(c) == theirs) continue;
    ++differences;
    // PCRE2 counts U+180E as a space for Perl's sake; else one of the two has not assigned it.
    ASSERT_TRUE(c == 0x180E || class_of(c) == kOther || theirs == kOther) << std::hex << int(c);
  }
  EXPECT_LT(differences, 6000);  // a version of Unicode brings about 5,000 characters
}

// The bytes of `text` in NFC by utf8proc.
std::string utf8proc_nfc(const std::string& text) {
  utf8proc_uint8_t* to = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &to,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  std::string result(reinterpret_cast<const char*>(to), static_cast<std::size_t>(size));
  std::free(to);
  return result;
}

std::string nfc(const std::string& text) {
  std::string to;
  append_nfc(to, text);
  return to;
}

TEST(Unicode, EveryCodePointNormalisesAsInUtf8proc) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (!is_scalar_value(c)) continue;
    std::string text;
    append_utf8(text, c);
    ASSERT_EQ(nfc(text), utf8proc_nfc(text)) << std::hex << int(c);
    ASSERT_TRUE(!is_surely_nfc(text) || nfc(text) == text) << std::hex << int(c);
  }
}

TEST(Unicode, RandomTextNormalisesAsInUtf8proc) {
  constexpr std::uint64_t kSeed = 5;
  Random random(kSeed);
  struct Pool {
    char32_t first;
    char32_t last;
  };
  constexpr Pool kPools[] = {
      {0x41, 0x5A},       {0xC0, 0xFF},       {0x300, 0x36F},    {0x300, 0x314},   {0x5B0, 0x5C7},
      {0x93C, 0x94D},     {0x958, 0x95F},     {0x9BE, 0x9DF},    {0x1100, 0x1112}, {0x1161, 0x1175},
      {0x11A8, 0x11C2},   {0xAC00, 0xAC40},   {0x1E00, 0x1FFF},  {0x2126, 0x212B}, {0xFB1D, 0xFB4E},
      {0x1D15E, 0x1D1C0}, {0x110AB, 0x110AC}, {0x110BA, 0x110BA}};
  for (int i = 0; i < 50'000; ++i) {
    std::string text;
    for (std::uint64_t n = 1 + random.below(10); n > 0; --n) {
      const Pool& pool = kPools[random.below(std::size(kPools))];
      append_utf8(text,
                  pool.first + static_cast<char32_t>(random.below(pool.last - pool.first + 1)));
    }
    ASSERT_EQ(nfc(text), utf8proc_nfc(text))
        << "seed " << kSeed << " text " << i << ": " << testing::PrintToString(text);
  }
}

TEST(Unicode, NormalisingKeepsInvalidBytes) {
  EXPECT_EQ(nfc("e\xCC\x81\xFFz\xE4\xB8"), "\xC3\xA9\xFFz\xE4\xB8");
  EXPECT_EQ(nfc("\xCC\x81"), "\xCC\x81");
}

TEST(Unicode, DecodesWhatItAppends) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (!is_scalar_value(c)) continue;
    std::string text;
    append_utf8(text, c);
    const Utf8 next = decode_utf8(text + "x");
    ASSERT_EQ(next.status, Utf8::Status::kValid);
    ASSERT_EQ(next.code_point, c);
    ASSERT_EQ(next.bytes, text.size());
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      const Utf8 part = decode_utf8(std::string_view(text).substr(0, cut));
      ASSERT_EQ(part.status, Utf8::Status::kCutShort);
      ASSERT_EQ(part.bytes, cut);
    }
  }
}

// Table 3-8 of the Unicode standard: maximal subparts of ill-formed sequences.
TEST(Unicode, TellsMaximalSubparts) {
  const struct {
    std::string_view text;
    int bytes;
  } kCases[] = {
      {"\x80", 1},         {"\xC0\xAF", 1},         {"\xE0\x80\xBF", 1},
      {"\xED\xA0\x80", 1}, {"\xF4\x91\x92\x93", 1}, {"\xFF", 1},
      {"\xE1\x80\xE2", 2}, {"\xF0\x91\x92g", 3},    {"\xF1\x80\x80g", 3},
      {"\xC2g", 1},
  };
  for (const auto& one : kCases) {
    const Utf8 next = decode_utf8(one.text);
    EXPECT_EQ(next.status, Utf8::Status::kInvalid) << testing::PrintToString(one.text);
    EXPECT_EQ(next.bytes, one.bytes) << testing::PrintToString(one.text);
  }
}

}  // namespace
}  // namespace thaw::text
