#include "snapshot/name.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace thaw::snapshot {
namespace {

// A code point in UTF-8, well-formed or not, by the number of bytes asked for.
std::string encode(std::uint32_t point, int bytes) {
  if (bytes == 1) return {static_cast<char>(point)};
  std::string out;
  for (int rest = bytes - 1; rest > 0; --rest) {
    out.insert(out.begin(), static_cast<char>(0x80 | (point & 0x3F)));
    point >>= 6;
  }
  constexpr std::uint32_t kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  out.insert(out.begin(), static_cast<char>(kLead[bytes] | point));
  return out;
}

TEST(Name, PlainTextIsEveryCodePointButControlsAndSurrogates) {
  for (std::uint32_t point = 0; point <= 0x10FFFF; ++point) {
    const int bytes = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    const bool is_control = point < 0x20 || (point >= 0x7F && point < 0xA0);
    const bool is_surrogate = point >= 0xD800 && point < 0xE000;
    const std::string text = encode(point, bytes);
    ASSERT_EQ(is_plain_text(text), !is_control && !is_surrogate) << point;
    if (bytes > 1) {
      ASSERT_FALSE(is_plain_text(text.substr(0, text.size() - 1))) << point;
    }
  }
  EXPECT_TRUE(is_plain_text(""));
  EXPECT_FALSE(is_plain_text(encode(0x110000, 4)));
}

TEST(Name, OverlongFormsAreNoText) {
  for (std::uint32_t point = 0x20; point < 0x10000; ++point) {
    const int least = point < 0x80 ? 1 : point < 0x800 ? 2 : 3;
    for (int bytes = least + 1; bytes <= 4; ++bytes) {
      ASSERT_FALSE(is_plain_text(encode(point, bytes))) << point << ' ' << bytes;
    }
  }
}

TEST(Name, QuotingKeepsAMessageToOneShortLine) {
  EXPECT_EQ(quote("blk.0.attn_q.weight"), "'blk.0.attn_q.weight'");
  EXPECT_EQ(quote(""), "''");
  EXPECT_EQ(quote("a\nb\x1b[31m"), "'a?b?[31m'");
  EXPECT_EQ(quote("\xff\u00e9"), "'?\u00e9'");
  EXPECT_EQ(quote(std::string(64, 'x')), "'" + std::string(64, 'x') + "'");
  EXPECT_EQ(quote(std::string(65, 'x')), "'" + std::string(64, 'x') + "...'");
}

}  // namespace
}  // namespace thaw::snapshot
