#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/crc32c_multiply.h"
#include "base/random.h"

namespace thaw {
namespace {

std::vector<std::byte> random_bytes(Random& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
  return bytes;
}

using internal::Multiplier;

// What this processor has; the wider ones have the narrower.
std::vector<Multiplier> multipliers() {
  std::vector<Multiplier> found;
  for (const Multiplier one :
       {Multiplier::kNone, Multiplier::kOne, Multiplier::kTwo, Multiplier::kFour}) {
    if (one <= internal::widest_multiplier()) found.push_back(one);
  }
  return found;
}

// One bit at a time, straight from the definition.
std::uint32_t crc32c_by_bit(Bytes bytes, std::uint32_t before) {
  std::uint32_t crc = ~before;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
  }
  return ~crc;
}

TEST(Crc32c, GivesTheVectorsOfRfc3720) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u);
  EXPECT_EQ(crc32c({}), 0u);
  std::vector<std::byte> bytes(32, std::byte{0});
  EXPECT_EQ(crc32c(bytes), 0x8A9136AAu);
  bytes.assign(32, std::byte{0xFF});
  EXPECT_EQ(crc32c(bytes), 0x62A8AB43u);
  for (std::size_t i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(i);
  EXPECT_EQ(crc32c(bytes), 0x46DD794Eu);
  for (std::size_t i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(31 - i);
  EXPECT_EQ(crc32c(bytes), 0x113FDB5Cu);
}

TEST(Crc32c, InstructionAndTableAgreeForEveryLengthAndAlignment) {
  Random random(2);
  const std::vector<std::byte> bytes = random_bytes(random, 2000);
  for (std::size_t offset = 0; offset < 8; ++offset) {
    for (std::size_t length = 0; length <= 1700; length += length < 300 ? 1 : 7) {
      const Bytes piece = Bytes(bytes).subspan(offset, length);
      const auto before = static_cast<std::uint32_t>(random.next());
      const std::uint32_t wanted = crc32c_by_bit(piece, before);
      ASSERT_EQ(internal::crc32c_by_table(piece, before), wanted) << offset << " " << length;
      ASSERT_EQ(crc32c(piece, before), wanted) << offset << " " << length;
      for (const Multiplier by : multipliers()) {
        ASSERT_EQ(internal::crc32c_by(by, piece, before), wanted)
            << static_cast<int>(by) << " " << offset << " " << length;
      }
    }
  }
}

TEST(Crc32c, LongInputsAgreeAroundTheBordersOfTheStreams) {
  Random random(3);
  const std::vector<std::byte> bytes = random_bytes(random, 3 * 3 * 8192 + 64);
  for (const std::size_t around :
       {3 * 256, 2 * 3 * 256, 6 * 1344, 3 * 8192, 3 * 8192 + 3 * 256, 3 * 3 * 8192}) {
    for (std::size_t length = around - 9; length <= around + 9; ++length) {
      const Bytes piece = Bytes(bytes).first(length);
      const auto before = static_cast<std::uint32_t>(random.next());
      const std::uint32_t wanted = internal::crc32c_by_table(piece, before);
      EXPECT_EQ(crc32c(piece, before), wanted) << length;
      for (const Multiplier by : multipliers()) {
        EXPECT_EQ(internal::crc32c_by(by, piece, before), wanted)
            << static_cast<int>(by) << " " << length;
      }
    }
  }
}

TEST(Crc32c, GoesOnFromAnEarlierPiece) {
  Random random(4);
  const std::vector<std::byte> bytes = random_bytes(random, 5000);
  const std::uint32_t whole = crc32c(bytes);
  for (int i = 0; i < 200; ++i) {
    const std::size_t cut = random.below(bytes.size() + 1);
    const Bytes all(bytes);
    EXPECT_EQ(crc32c(all.subspan(cut), crc32c(all.first(cut))), whole) << cut;
  }
}

TEST(Crc32c, PiecesInAnyOrderMakeTheWhole) {
  Random random(6);
  const std::vector<std::byte> bytes = random_bytes(random, 70'000);
  for (int round = 0; round < 200; ++round) {
    const std::size_t size = random.below(bytes.size() + 1);
    const Bytes all = Bytes(bytes).first(size);
    std::uint32_t sum = 0;
    for (std::size_t end = size; end > 0;) {  // from the back
      const std::size_t begin = random.below(end);
      sum ^= crc32c_followed_by(crc32c(all.subspan(begin, end - begin)), size - end);
      end = begin;
    }
    ASSERT_EQ(sum, crc32c(all)) << size;
  }
}

TEST(Crc32c, FollowedByZerosAgreesWithBitsForEveryPower) {
  Random random(7);
  for (int bit = 0; bit < 64; ++bit) {
    const auto checksum = static_cast<std::uint32_t>(random.next());
    const std::uint64_t zeros = (std::uint64_t{1} << bit) | (random.next() >> (63 - bit) >> 1);
    EXPECT_EQ(crc32c_followed_by(checksum, zeros),
              internal::crc32c_followed_by_bits(checksum, zeros))
        << bit;
  }
  EXPECT_EQ(crc32c_followed_by(0x12345678, 0), 0x12345678u);
}

TEST(Crc32c, SeesEveryFlippedBit) {
  Random random(5);
  std::vector<std::byte> bytes = random_bytes(random, 97);
  const std::uint32_t sound = crc32c(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_NE(crc32c(bytes), sound) << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
  }
}

}  // namespace
}  // namespace thaw
