#include "handler/event/encoding.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "handler/event/utf8.h"

namespace thaw::event {
namespace {

std::string base64_encode(std::string_view bytes, std::string_view alphabet, bool padded) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t bits = 0;
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    for (std::size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    }
    for (std::size_t i = 0; i <= count; ++i) text += alphabet[bits >> (18 - 6 * i) & 63];
    if (padded) text.append(3 - count, '=');
  }
  return text;
}

constexpr std::string_view kStandard =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlSafe =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

TEST(Base64, DecodesTheVectorsOfRfc4648) {
  EXPECT_EQ(base64_decode(""), "");
  EXPECT_EQ(base64_decode("Zg=="), "f");
  EXPECT_EQ(base64_decode("Zm8="), "fo");
  EXPECT_EQ(base64_decode("Zm9v"), "foo");
  EXPECT_EQ(base64_decode("Zm9vYg=="), "foob");
  EXPECT_EQ(base64_decode("Zm9vYmE="), "fooba");
  EXPECT_EQ(base64_decode("Zm9vYmFy"), "foobar");
  EXPECT_EQ(base64_decode("PGlkay8+"), "<idk/>");
}

TEST(Base64, DecodesBothAlphabetsPaddedOrNot) {
  constexpr std::uint64_t kSeed = 3;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Random random(kSeed);
  for (std::size_t length = 0; length < 200; ++length) {
    std::string bytes;
    for (std::size_t i = 0; i < length; ++i) bytes += static_cast<char>(random.below(256));
    for (const std::string_view alphabet : {kStandard, kUrlSafe}) {
      EXPECT_EQ(base64_decode(base64_encode(bytes, alphabet, true)), bytes);
      EXPECT_EQ(base64_decode(base64_encode(bytes, alphabet, false)), bytes);
    }
  }
}

TEST(Base64, EncodesWhatItDecodes) {
  constexpr std::uint64_t kSeed = 4;
  Random random(kSeed);
  for (std::size_t length = 0; length < 200; ++length) {
    std::string bytes;
    for (std::size_t i = 0; i < length; ++i) bytes += static_cast<char>(random.below(256));
    EXPECT_EQ(event::base64_encode(bytes), base64_encode(bytes, kStandard, true))
        << "seed " << kSeed;
  }
}

TEST(PercentEncodeHeader, KeepsWhatIsPrintable) {
  EXPECT_EQ(percent_encode_header("/my-source?a=b"), "/my-source?a=b");
  EXPECT_EQ(percent_encode_header("a \"b\" 100%\n\u00e9\x7f"), "a%20%22b%22%20100%25%0A%C3%A9%7F");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    EXPECT_EQ(percent_decode(percent_encode_header(one), false), one);
  }
}

TEST(Base64, RefusesWhatIsNone) {
  for (const std::string_view text : {"A", "AAAAA", "A=", "A===", "====", "=", "Zg=", "Zm9v!",
                                      "Zm 9", "Zm9v\n", "Z=g=", "é", "Zg==Zg=="}) {
    EXPECT_FALSE(base64_decode(text).has_value()) << text;
  }
}

TEST(PercentDecode, DecodesOnceAndLeavesTheRest) {
  EXPECT_EQ(percent_decode("/a%20b", false), "/a b");
  EXPECT_EQ(percent_decode("%41%4a%4A", false), "AJJ");
  EXPECT_EQ(percent_decode("%2541", false), "%41");
  EXPECT_EQ(percent_decode("%", false), "%");
  EXPECT_EQ(percent_decode("%4", false), "%4");
  EXPECT_EQ(percent_decode("%4g%zz%-1", false), "%4g%zz%-1");
  EXPECT_EQ(percent_decode("%%41", false), "%A");
  EXPECT_EQ(percent_decode("%E2%82%AC", false), "€");
  EXPECT_EQ(percent_decode("a+b", false), "a+b");
  EXPECT_EQ(percent_decode("a+b%2B", true), "a b+");
}

TEST(ParseQuery, KeepsOrderAndRepeats) {
  const auto pairs = parse_query("a=1&b=x%20y+z&a=2&flag&=v&&e==");
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"a", "1"}, {"b", "x y z"}, {"a", "2"}, {"flag", ""}, {"", "v"}, {"e", "="}};
  EXPECT_EQ(pairs, expected);
  EXPECT_TRUE(parse_query("").empty());
  EXPECT_TRUE(parse_query("&&").empty());
}

TEST(EqualIgnoringCase, FoldsAsciiAlone) {
  EXPECT_TRUE(equal_ignoring_case("Content-TYPE", "content-type"));
  EXPECT_FALSE(equal_ignoring_case("content-type", "content-typ"));
  EXPECT_FALSE(equal_ignoring_case("É", "é"));
  EXPECT_FALSE(equal_ignoring_case("[", "{"));  // 32 apart, as letters' cases are
}

// Against the definition: a scalar's encoding, and nothing else, is well-formed.
TEST(Utf8, EveryScalarsEncodingIsWellFormed) {
  for (char32_t scalar = 0; scalar <= 0x10FFFF; ++scalar) {
    if (scalar >= 0xD800 && scalar <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, scalar);
    ASSERT_EQ(utf8_length(text), text.size()) << static_cast<std::uint32_t>(scalar);
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      ASSERT_EQ(utf8_length(std::string_view(text).substr(0, cut)), 0u);
    }
  }
}

// Every three-byte sequence decodes to a scalar that encodes to the same bytes, or is refused.
TEST(Utf8, RefusesOverlongFormsAndSurrogates) {
  for (unsigned lead = 0xC0; lead <= 0xFF; ++lead) {
    for (unsigned second = 0x70; second <= 0xC8; ++second) {
      for (const unsigned third : {0x7Fu, 0x80u, 0x9Fu, 0xBFu, 0xC0u}) {
        const std::string text = {static_cast<char>(lead), static_cast<char>(second),
                                  static_cast<char>(third)};
        const char32_t scalar = (lead & 0x0F) << 12 | (second & 0x3F) << 6 | (third & 0x3F);
        std::string again;
        if (scalar < 0xD800 || scalar > 0xDFFF) append_utf8(again, scalar);
        EXPECT_EQ(utf8_length(text) == 3, again == text) << lead << " " << second << " " << third;
      }
    }
  }
  for (const std::string_view bad : {"\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80",
                                     "\xF0\x90\x80\x7F", "\xC1\xBF", "\xBF"}) {
    EXPECT_EQ(utf8_length(bad), 0u);
    EXPECT_FALSE(is_utf8(bad));
  }
  EXPECT_TRUE(is_utf8("aé€😀"));
}

}  // namespace
}  // namespace thaw::event
