#include "runtime/cost/quantiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace thaw::cost {
namespace {

using std::chrono::nanoseconds;

// The value at a quantile's rank, from all values.
nanoseconds exact(std::vector<std::int64_t> values, double q) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
  return nanoseconds(values[std::max<std::size_t>(rank, 1) - 1]);
}

TEST(Quantiles, StaysWithinItsErrorOverAllMagnitudes) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random random(seed);
    Quantiles sketch;
    std::vector<std::int64_t> values;
    for (int i = 0; i < 2000; ++i) {
      values.push_back(static_cast<std::int64_t>(std::exp(random.unit() * 43)));
      sketch.add(nanoseconds(values.back()));
    }
    for (const double q : {0.0001, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
      const auto want = static_cast<double>(exact(values, q).count());
      EXPECT_NEAR(static_cast<double>(sketch.at(q).count()), want, want * Quantiles::kErrorMax)
          << q;
    }
    EXPECT_EQ(sketch.min(), exact(values, 0));
    EXPECT_EQ(sketch.max(), exact(values, 1));
  }
}

TEST(Quantiles, IsExactForSmallValuesAndForOne) {
  Quantiles sketch;
  for (int i = 1; i <= 100; ++i) sketch.add(nanoseconds(i));
  EXPECT_EQ(sketch.at(0.5), nanoseconds(50));
  EXPECT_EQ(sketch.at(0.95), nanoseconds(95));
  EXPECT_EQ(sketch.at(0.951), nanoseconds(96));
  EXPECT_EQ(sketch.mean(), nanoseconds(51));  // 50.5
  Quantiles one;
  one.add(std::chrono::milliseconds(12345));
  EXPECT_EQ(one.at(0.5), std::chrono::milliseconds(12345));
}

TEST(Quantiles, AddsUp) {
  Random random(7);
  Quantiles all, even, odd;
  for (int i = 0; i < 1000; ++i) {
    const nanoseconds value(static_cast<std::int64_t>(random.below(1'000'000'000)));
    all.add(value);
    (i % 2 == 0 ? even : odd).add(value);
  }
  even.add(odd);
  EXPECT_EQ(even.count(), all.count());
  for (const double q : {0.01, 0.5, 0.99}) EXPECT_EQ(even.at(q), all.at(q));
  EXPECT_EQ(even.min(), all.min());
  EXPECT_EQ(even.max(), all.max());
}

TEST(Quantiles, AnswersForNothing) {
  Quantiles none;
  EXPECT_EQ(none.at(0.5), nanoseconds(0));
  EXPECT_EQ(none.min(), nanoseconds(0));
  EXPECT_EQ(none.mean(), nanoseconds(0));
  none.add(nanoseconds(-5));
  EXPECT_EQ(none.at(1), nanoseconds(0));
  none.add(nanoseconds::max());
  EXPECT_EQ(none.at(1), nanoseconds::max());
}

}  // namespace
}  // namespace thaw::cost
