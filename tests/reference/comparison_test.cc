#include "handler/reference/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace thaw::reference {
namespace {

using Logits = std::vector<float>;

Difference of_one(const Logits& reference, const Logits& ours) {
  Comparison comparison;
  EXPECT_TRUE(comparison.add(reference, ours, std::nullopt));
  return comparison.difference();
}

TEST(Comparison, TheSameLogitsDifferByNothing) {
  const Difference same = of_one({1, 2, 3}, {1, 2, 3});
  EXPECT_EQ(same.positions, 1u);
  EXPECT_EQ(same.mean_kl, 0);
  EXPECT_EQ(same.p99_kl, 0);
  EXPECT_EQ(same.top1_agreement, 1);
  EXPECT_FALSE(same.margin_max);
}

// The reference says 3/4 and 1/4, ours 1/4 and 3/4: KL is (3/4 - 1/4) log 3. Swapping p and q gives
// the same here, so a second pair has none of that symmetry.
TEST(Comparison, GivesTheDivergenceOfOursFromTheReference) {
  const float three = std::log(3.0f);
  EXPECT_NEAR(of_one({three, 0}, {0, three}).mean_kl, 0.5 * std::log(3.0), 1e-7);
  EXPECT_NEAR(of_one({three, 0}, {0, 0}).mean_kl, 0.75 * std::log(1.5) + 0.25 * std::log(0.5),
              1e-7);
  EXPECT_NEAR(of_one({0, 0}, {three, 0}).mean_kl, 0.5 * std::log(2.0 / 3) + 0.5 * std::log(2.0),
              1e-7);
}

TEST(Comparison, AVocabularyOfOneTokenIsAllowed) {
  EXPECT_EQ(of_one({3}, {4}).mean_kl, 0);
  EXPECT_EQ(of_one({3}, {4}).top1_agreement, 1);
}

TEST(Comparison, AShiftOfAllLogitsIsNoDifference) {
  EXPECT_NEAR(of_one({100, 101, 99}, {-50, -49, -51}).mean_kl, 0, 1e-12);
}

TEST(Comparison, SaysTheLargestMarginWhereTheLikeliestTokenDiffers) {
  Comparison comparison;
  ASSERT_TRUE(comparison.add(Logits{5, 1, 0}, Logits{5, 1, 0}, std::nullopt));  // a margin of 4
  ASSERT_TRUE(comparison.add(Logits{2, 1.5f, 0}, Logits{1, 2, 0}, std::nullopt));
  ASSERT_TRUE(comparison.add(Logits{0, 1, 1.25f}, Logits{3, 1, 0}, std::nullopt));
  const Difference found = comparison.difference();
  EXPECT_NEAR(found.top1_agreement, 1.0 / 3, 1e-12);
  ASSERT_TRUE(found.margin_max);
  EXPECT_EQ(*found.margin_max, 0.5);
}

TEST(Comparison, OnePositionInAHundredMayPassThe99thPercentile) {
  Comparison comparison;
  const float three = std::log(3.0f);
  for (int i = 0; i < 98; ++i) ASSERT_TRUE(comparison.add(Logits{0, 0}, Logits{0, 0}, {}));
  ASSERT_TRUE(comparison.add(Logits{three, 0}, Logits{0, three}, {}));
  EXPECT_GT(comparison.difference().p99_kl, 0.5) << "1 of 99 is more than one in a hundred";
  ASSERT_TRUE(comparison.add(Logits{0, 0}, Logits{0, 0}, {}));
  EXPECT_EQ(comparison.difference().p99_kl, 0);
  EXPECT_GT(comparison.difference().mean_kl, 0);
}

TEST(Comparison, TheReferencesLikelihoodIsOverThePositionsThatAreFollowed) {
  Comparison comparison;
  const float three = std::log(3.0f);
  ASSERT_TRUE(comparison.add(Logits{three, 0}, Logits{0, 0}, 0u));
  ASSERT_TRUE(comparison.add(Logits{0, 0}, Logits{0, 0}, 1u));
  ASSERT_TRUE(comparison.add(Logits{9, 0}, Logits{9, 0}, std::nullopt));
  EXPECT_NEAR(comparison.difference().mean_nll, (std::log(4.0 / 3) + std::log(2.0)) / 2, 1e-7);
}

TEST(Comparison, RefusesALogitThatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    Comparison comparison;
    const auto done = comparison.add(Logits{1, bad}, Logits{1, 2}, std::nullopt);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::kCorrupt);
  }
}

}  // namespace
}  // namespace thaw::reference
