#include "mutate.h"

#include <gtest/gtest.h>

#include <set>

namespace thaw::fuzz {
namespace {

std::vector<Input> some_corpus() {
  Input counting(64);
  for (std::size_t i = 0; i < counting.size(); ++i) counting[i] = static_cast<std::uint8_t>(i);
  return {counting, Input(40, 0xAA), Input{}};
}

TEST(Mutate, GivesTheSameFromTheSameSeed) {
  Random one(5);
  Random other(5);
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(mutate(some_corpus(), 1000, one), mutate(some_corpus(), 1000, other)) << i;
  }
}

TEST(Mutate, KeepsTheLimitAndReachesManyShapes) {
  Random random(6);
  std::set<Input> seen;
  std::set<std::size_t> sizes;
  for (int i = 0; i < 2000; ++i) {
    const Input input = mutate(some_corpus(), 100, random);
    ASSERT_LE(input.size(), 100u);
    seen.insert(input);
    sizes.insert(input.size());
  }
  EXPECT_GT(seen.size(), 1200u);
  EXPECT_GT(sizes.size(), 90u);
}

TEST(Mutate, LivesOnAnEmptyEntryAlone) {
  Random random(7);
  for (int i = 0; i < 200; ++i) EXPECT_LE(mutate({Input{}}, 10, random).size(), 10u);
}

TEST(Mutate, WritesExtremeIntegersOfEveryWidth) {
  Random random(8);
  const std::vector<Input> zeros = {Input(64, 0x11)};
  bool two = false;
  bool four = false;
  bool eight = false;
  for (int i = 0; i < 3000; ++i) {
    const Input input = mutate(zeros, 64, random);
    std::size_t run = 0;
    for (const std::uint8_t byte : input) {
      run = byte == 0xFF ? run + 1 : 0;
      two = two || run == 2;
      four = four || run == 4;
      eight = eight || run == 8;
    }
  }
  EXPECT_TRUE(two && four && eight);
}

}  // namespace
}  // namespace thaw::fuzz
