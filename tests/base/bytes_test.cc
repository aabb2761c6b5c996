#include "base/bytes.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "base/random.h"

namespace thaw {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

TEST(Bytes, LoadsLittleEndianFromAnyAlignment) {
  const Bytes bytes = as_bytes("\x01\x02\x03\x04\x05\x06\x07\x08\x09");
  EXPECT_EQ(load<std::uint16_t>(bytes.data() + 1), 0x0302);
  EXPECT_EQ(load<std::uint32_t>(bytes.data() + 1), 0x05040302u);
  EXPECT_EQ(load<std::uint64_t>(bytes.data() + 1), 0x0908070605040302u);
}

TEST(Bytes, LoadAtRefusesEveryOffsetThatDoesNotFit) {
  const std::array<std::byte, 8> bytes{};
  for (std::size_t offset = 0; offset <= 20; ++offset) {
    EXPECT_EQ(load_at<std::uint32_t>(bytes, offset).has_value(), offset <= 4) << offset;
  }
  EXPECT_FALSE(load_at<std::uint32_t>(bytes, std::numeric_limits<std::size_t>::max()));
  EXPECT_FALSE(load_at<std::uint32_t>(bytes, std::numeric_limits<std::size_t>::max() - 3));
  EXPECT_FALSE(load_at<std::uint8_t>(Bytes{}, 0));
}

TEST(Bytes, StoreAndAppendGiveBackWhatWasPut) {
  std::vector<std::byte> buffer;
  append(buffer, std::uint8_t{7});
  append(buffer, std::uint32_t{0xDEADBEEF});
  append(buffer, 1.5f);
  ASSERT_EQ(buffer.size(), 9u);
  EXPECT_EQ(load_at<std::uint32_t>(buffer, 1), 0xDEADBEEF);
  EXPECT_EQ(load_at<float>(buffer, 5), 1.5f);
  store(buffer.data() + 1, std::uint32_t{5});
  EXPECT_EQ(load_at<std::uint32_t>(buffer, 1), 5u);
  EXPECT_EQ(load_at<std::uint8_t>(buffer, 0), 7u);
}

TEST(Bytes, TextAndBytesAreViewsOfTheSameMemory) {
  const std::string_view text = "thaw";
  EXPECT_EQ(as_text(as_bytes(text)).data(), text.data());
  EXPECT_EQ(as_text(as_bytes(text)), text);
}

TEST(CheckedArithmetic, IsNothingExactlyWhereItOverflows) {
  EXPECT_EQ(checked_add(kMax, 0), kMax);
  EXPECT_FALSE(checked_add(kMax, 1));
  EXPECT_EQ(checked_mul(0, kMax), 0u);
  EXPECT_EQ(checked_mul(kMax / 3, 3), kMax);
  EXPECT_FALSE(checked_mul(kMax / 3 + 1, 3));
  Random random(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t a = random.next() >> random.below(64);
    const std::uint64_t b = random.next() >> random.below(64);
    __extension__ using Wide = unsigned __int128;
    EXPECT_EQ(checked_mul(a, b).has_value(), Wide{a} * b <= kMax) << a << " * " << b;
    EXPECT_EQ(checked_add(a, b).has_value(), Wide{a} + b <= kMax) << a << " + " << b;
  }
}

TEST(RoundUp, GivesTheNextMultiple) {
  EXPECT_EQ(round_up(0, 64), 0u);
  EXPECT_EQ(round_up(1, 64), 64u);
  EXPECT_EQ(round_up(64, 64), 64u);
  EXPECT_EQ(round_up(65, 64), 128u);
  EXPECT_EQ(round_up((std::uint64_t{1} << 40) + 1, 4096), (std::uint64_t{1} << 40) + 4096);
}

}  // namespace
}  // namespace thaw
