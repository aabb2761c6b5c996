// Dequantising against the oracle's formulas. Scales are such that the exact value fits a double,
// so rounding it once to float must give the same bits.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "base/random.h"
#include "base/str.h"
#include "dequantise_oracle.h"

namespace thaw::gguf {
namespace {

using namespace oracle;

TEST(Dequantise, EveryFormatIsItsFormulaToTheBitOnRandomBlocks) {
  constexpr std::uint64_t kSeed = 31;
  Random random(kSeed);
  for (const Format& format : formats()) {
    const TypeInfo& info = *find_type(static_cast<std::uint32_t>(format.type));
    for (int round = 0; round < 500; ++round) {
      Block block(info.block_bytes);
      for (Byte& byte : block) byte = static_cast<Byte>(random.below(256));
      for (const std::size_t at : format.halves) {
        // Any sign and mantissa, exponents 5 to 24 of 31: two of them stay within a double's 53
        // bits of each other, whatever 14 bits of integers they are multiplied by.
        const auto exponent = static_cast<unsigned>(5 + random.below(20));
        const auto bits = static_cast<unsigned>(random.below(1024)) | exponent << 10 |
                          static_cast<unsigned>(random.below(2)) << 15;
        block[at] = static_cast<Byte>(bits & 255);
        block[at + 1] = static_cast<Byte>(bits >> 8);
      }
      std::vector<float> found(info.block_elements);
      ASSERT_TRUE(dequantise(format.type, std::as_bytes(std::span(block)), found));
      const Values wanted = format.values(block);
      ASSERT_EQ(wanted.size(), found.size()) << info.name;
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_EQ(found[i], static_cast<float>(wanted[i]))
            << info.name << " element " << i << ", seed " << kSeed << ", round " << round;
      }
    }
  }
}

TEST(Dequantise, Q8KHasAFloatScale) {
  Block block(292, 0);
  const float scale = 0.37f;
  std::memcpy(block.data(), &scale, 4);
  for (std::size_t i = 0; i < 256; ++i) block[4 + i] = static_cast<Byte>(i);
  std::vector<float> found(256);
  ASSERT_TRUE(dequantise(Type::kQ8_K, std::as_bytes(std::span(block)), found));
  const Values wanted = q8_k(block);
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(found[i], static_cast<float>(wanted[i]));
}

TEST(Dequantise, EveryHalfIsExact) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const Byte bytes[2] = {static_cast<Byte>(bits & 255), static_cast<Byte>(bits >> 8)};
    float found = 0;
    ASSERT_TRUE(dequantise(Type::kF16, std::as_bytes(std::span(bytes)), std::span(&found, 1)));
    const double wanted = half(bytes);
    if (std::isnan(wanted)) {
      ASSERT_TRUE(std::isnan(found)) << bits;
      continue;
    }
    ASSERT_EQ(std::bit_cast<std::uint32_t>(found),
              std::bit_cast<std::uint32_t>(static_cast<float>(wanted)))
        << bits;
  }
}

TEST(Dequantise, EveryBfloatIsTheUpperHalfOfAFloat) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const Byte bytes[2] = {static_cast<Byte>(bits & 255), static_cast<Byte>(bits >> 8)};
    float found = 0;
    ASSERT_TRUE(dequantise(Type::kBf16, std::as_bytes(std::span(bytes)), std::span(&found, 1)));
    ASSERT_EQ(std::bit_cast<std::uint32_t>(found), bits << 16);
  }
}

TEST(Dequantise, FloatsAreCopiedAndDoublesRounded) {
  const float floats[] = {1.5f, -0.0f, 3.4e38f, 1e-45f};
  std::vector<float> found(4);
  ASSERT_TRUE(dequantise(Type::kF32, std::as_bytes(std::span(floats)), found));
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(found[i]), std::bit_cast<std::uint32_t>(floats[i]));
  }
  const double doubles[] = {0.1, -1e300, 1e-300, 2.0};
  ASSERT_TRUE(dequantise(Type::kF64, std::as_bytes(std::span(doubles)), found));
  EXPECT_EQ(found[0], 0.1f);
  EXPECT_EQ(found[1], -HUGE_VALF);
  EXPECT_EQ(found[2], 0.0f);
  EXPECT_EQ(found[3], 2.0f);
}

TEST(Dequantise, SubnormalScalesOfMxfp4AreExact) {
  for (unsigned exponent = 0; exponent < 256; ++exponent) {
    Block block(17, 0x71);  // weights 0.5 and 6
    block[0] = static_cast<Byte>(exponent);
    std::vector<float> found(32);
    ASSERT_TRUE(dequantise(Type::kMxfp4, std::as_bytes(std::span(block)), found));
    const int power = static_cast<int>(exponent) - 127;
    ASSERT_EQ(found[0], static_cast<float>(std::ldexp(0.5, power)));
    ASSERT_EQ(found[16], static_cast<float>(std::ldexp(6.0, power)));
  }
}

TEST(Dequantise, ManyBlocksAreOneAfterAnotherAndTheRestIsLeft) {
  Random random(32);
  Block blocks(18 * 5);
  for (Byte& byte : blocks) byte = static_cast<Byte>(random.below(60));
  std::vector<float> found(32 * 4 + 1, 77.0f);
  ASSERT_TRUE(
      dequantise(Type::kQ4_0, std::as_bytes(std::span(blocks)), std::span(found).first(32 * 4)));
  for (std::size_t block = 0; block < 4; ++block) {
    const auto first = blocks.begin() + static_cast<std::ptrdiff_t>(18 * block);
    const Values wanted = q4_0(Block(first, first + 18));
    for (std::size_t i = 0; i < 32; ++i) EXPECT_EQ(found[32 * block + i], wanted[i]);
  }
  EXPECT_EQ(found.back(), 77.0f);
  EXPECT_TRUE(dequantise(Type::kQ4_0, {}, {}));
}

TEST(Dequantise, PartsOfABlockAndTooFewBytesAreInvalid) {
  const Block block(36);
  std::vector<float> to(96);
  const Bytes bytes = std::as_bytes(std::span(block));
  const auto code = [&](std::size_t count, Bytes from) {
    const auto done = dequantise(Type::kQ4_0, from, std::span(to).first(count));
    return done ? std::optional<Code>() : done.error().code;
  };
  EXPECT_EQ(code(64, bytes), std::nullopt);
  EXPECT_EQ(code(63, bytes), Code::kInvalid);
  EXPECT_EQ(code(96, bytes), Code::kInvalid);
  EXPECT_EQ(code(64, bytes.first(35)), Code::kInvalid);
}

TEST(Dequantise, FormatsWithCodeBooksAreUnsupportedByName) {
  std::vector<float> to(256);
  const Block block(300);
  for (const Type type : {Type::kIq2Xxs, Type::kIq2Xs, Type::kIq3Xxs, Type::kIq1S, Type::kIq3S,
                          Type::kIq2S, Type::kIq1M}) {
    const auto done = dequantise(type, std::as_bytes(std::span(block)), to);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::kUnsupported);
    const auto name = find_type(static_cast<std::uint32_t>(type))->name;
    EXPECT_NE(done.error().message.find(name), std::string::npos);
  }
  const auto unknown = dequantise(static_cast<Type>(77), std::as_bytes(std::span(block)), to);
  EXPECT_EQ(unknown.error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace thaw::gguf
