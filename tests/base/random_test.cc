#include "base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>

namespace thaw {
namespace {

// Golden numbers: a change of these changes what every seed in the world generates. Computed from
// the authors' reference sources of splitmix64 and xoshiro256**.
TEST(Random, GivesTheReferenceNumbers) {
  Random random(42);
  EXPECT_EQ(random.next(), 0x15780B2E0C2EC716u);
  EXPECT_EQ(random.next(), 0x6104D9866D113A7Eu);
  EXPECT_EQ(random.next(), 0xAE17533239E499A1u);
  EXPECT_EQ(random.below(1000), 924u);
  EXPECT_EQ(random.unit(), 0x1.fbcdb8ffc5d8bp-1);
  EXPECT_EQ(random.symmetric(), 0x1.1436940000000p-1f);
}

TEST(Random, SameSeedSameNumbersOtherSeedOthers) {
  Random a(7);
  Random b(7);
  Random c(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t number = a.next();
    EXPECT_EQ(number, b.next());
    differs = differs || number != c.next();
  }
  EXPECT_TRUE(differs);
}

TEST(Random, BelowStaysBelowAndReachesEverything) {
  Random random(9);
  std::array<int, 10> seen{};
  for (int i = 0; i < 10'000; ++i) ++seen[random.below(10)];
  for (const int count : seen) EXPECT_NEAR(count, 1000, 150);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0u);
  const std::uint64_t large = (std::uint64_t{1} << 63) + 12345;
  for (int i = 0; i < 1000; ++i) EXPECT_LT(random.below(large), large);
}

TEST(RandomDeathTest, BelowZeroIsABug) { EXPECT_DEATH(Random(1).below(0), "bound > 0"); }

TEST(Random, UnitAndSymmetricKeepTheirRangesAndMeans) {
  Random random(10);
  double unit_sum = 0;
  double symmetric_sum = 0;
  for (int i = 0; i < 20'000; ++i) {
    const double unit = random.unit();
    ASSERT_GE(unit, 0.0);
    ASSERT_LT(unit, 1.0);
    unit_sum += unit;
    const float symmetric = random.symmetric();
    ASSERT_GE(symmetric, -1.0f);
    ASSERT_LT(symmetric, 1.0f);
    symmetric_sum += symmetric;
  }
  EXPECT_NEAR(unit_sum / 20'000, 0.5, 0.01);
  EXPECT_NEAR(symmetric_sum / 20'000, 0.0, 0.02);
}

TEST(Random, NormalHasMeanZeroAndDeviationOne) {
  Random random(11);
  double sum = 0;
  double squares = 0;
  constexpr int kCount = 20'000;
  for (int i = 0; i < kCount; ++i) {
    const double value = random.normal();
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.03);
  EXPECT_NEAR(std::sqrt(squares / kCount), 1.0, 0.03);
}

TEST(Random, FloatsAreSymmetricsInARow) {
  Random one(12);
  Random other(12);
  for (const float value : one.floats(50)) EXPECT_EQ(value, other.symmetric());
}

}  // namespace
}  // namespace thaw
