#include "handler/text/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "handler/text/portable_math.h"

namespace thaw::text {
namespace {

TEST(PortableLog, IsTheLogarithmToFifteenDigits) {
  constexpr std::uint64_t kSeed = 21;
  Random random(kSeed);
  for (int i = 0; i < 100000; ++i) {
    const double x = std::ldexp(1.0 + random.unit(), static_cast<int>(random.below(2000)) - 1000);
    const double wanted = std::log(x);
    EXPECT_NEAR(portable_log(x), wanted, 1e-15 * std::max(1.0, std::abs(wanted)))
        << x << " seed " << kSeed;
  }
  EXPECT_EQ(portable_log(1.0), 0.0);
  EXPECT_NEAR(portable_log(0.999999999), std::log(0.999999999), 1e-18);
}

// Against a softmax in long double and a full sort, over lengths and numbers of alternatives.
TEST(Logprobs, AreThoseOfASoftmaxAndTheLikeliestComeFirst) {
  constexpr std::uint64_t kSeed = 22;
  Random random(kSeed);
  for (const std::size_t size : {1u, 2u, 5u, 100u, 3000u}) {
    std::vector<float> logits(size);
    for (float& logit : logits) {
      logit = static_cast<float>(random.below(40)) / 2 - 10;  // ties, too
    }
    long double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<long double>(logit));
    std::vector<Token> order(size);
    for (std::size_t i = 0; i < size; ++i) order[i] = static_cast<Token>(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](Token a, Token b) { return logits[a] > logits[b]; });
    for (const std::size_t top : {0u, 1u, 5u, 20u}) {
      const auto chosen = static_cast<Token>(random.below(size));
      const auto result = token_logprobs(logits, chosen, top);
      ASSERT_EQ(result.size(), 1 + std::min<std::size_t>(top, size));
      for (std::size_t i = 0; i < result.size(); ++i) {
        const Token token = i == 0 ? chosen : order[i - 1];
        EXPECT_EQ(result[i].token, token) << "seed " << kSeed;
        EXPECT_NEAR(result[i].logprob,
                    static_cast<double>(static_cast<long double>(logits[token]) - std::log(sum)),
                    1e-12);
      }
    }
  }
}

TEST(Logprobs, FarApartLogitsGiveNoInfinity) {
  const float logits[] = {3e38f, -3e38f, 0};
  const auto result = token_logprobs(logits, 1, 3);
  EXPECT_EQ(result[1].logprob, 0);
  EXPECT_TRUE(std::isfinite(result[0].logprob));
}

}  // namespace
}  // namespace thaw::text
