#include "handler/text/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "handler/text/portable_math.h"

namespace thaw::text {
namespace {

std::vector<float> random_logits(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = 4 * random.normal();
  return logits;
}

std::vector<Token> draw(const SamplerOptions& options, std::span<const float> logits, int count) {
  Sampler sampler(options, {}, logits.size());
  std::vector<Token> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(sampler.sample(logits));
  return tokens;
}

std::set<Token> support(const SamplerOptions& options, std::span<const float> logits) {
  const auto tokens = draw(options, logits, 4000);
  return {tokens.begin(), tokens.end()};
}

TEST(PortableExp, IsWithinOnePartInTenToTheFifteenth) {
  Random random(1);
  double worst = 0;
  for (int i = 0; i < 200'000; ++i) {
    const double x = i % 2 == 0 ? random.unit() * 1417 - 708 : random.unit() * 80 - 60;
    const double wanted = std::exp(x);
    worst = std::max(worst, std::abs(portable_exp(x) - wanted) / wanted);
  }
  EXPECT_LT(worst, 1e-15);
}

TEST(PortableExp, HasItsEdges) {
  EXPECT_EQ(portable_exp(0.0), 1.0);
  EXPECT_EQ(portable_exp(-1e300), 0.0);
  EXPECT_EQ(portable_exp(-std::numeric_limits<double>::infinity()), 0.0);
  EXPECT_EQ(portable_exp(710.0), std::numeric_limits<double>::infinity());
  EXPECT_NEAR(portable_exp(709.0) / std::exp(709.0), 1, 1e-15);
  EXPECT_TRUE(std::isnan(portable_exp(std::nan(""))));
}

// The very bits, so that another machine or compiler that rounds otherwise shows.
TEST(PortableExp, GivesTheSameBitsEverywhere) {
  std::uint64_t hash = 0;
  Random random(2);
  for (int i = 0; i < 10'000; ++i) {
    const double x = random.unit() * 100 - 90;
    hash = hash * 0x9E3779B97F4A7C15ull + std::bit_cast<std::uint64_t>(portable_exp(x));
  }
  EXPECT_EQ(hash, 16649875749341719148u);
}

TEST(Sampler, GreedyTakesTheLowestIdOfTheLargest) {
  EXPECT_EQ(draw({}, std::vector<float>{1, 3, 2, 3}, 1), std::vector<Token>{1});
  EXPECT_EQ(draw({}, std::vector<float>{-5}, 1), std::vector<Token>{0});
}

TEST(Sampler, IgnoresPaddingBeyondTheVocabulary) {
  Sampler sampler({}, {}, 2);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 2, 99}), 1u);
}

TEST(Sampler, TheSameSeedGivesTheSameTokensForever) {
  const auto logits = random_logits(1000, 4);
  SamplerOptions options;
  options.temperature = 0.8f;
  options.seed = 42;
  EXPECT_EQ(draw(options, logits, 8), (std::vector<Token>{152, 152, 152, 386, 878, 152, 152, 197}));
  options.top_k = 40;
  EXPECT_EQ(draw(options, logits, 8), (std::vector<Token>{152, 152, 152, 111, 935, 152, 152, 386}));
  options.top_p = 0.9f;
  options.min_p = 0.05f;
  EXPECT_EQ(draw(options, logits, 8), (std::vector<Token>{152, 152, 152, 386, 111, 152, 152, 152}));
  options.repetition_penalty = 1.3f;
  options.presence_penalty = 0.5f;
  options.frequency_penalty = 0.25f;
  options.logit_bias = {{3, 2.0f}, {900, -5.0f}};
  EXPECT_EQ(draw(options, logits, 8), (std::vector<Token>{152, 386, 812, 727, 891, 858, 152, 480}));
}

TEST(Sampler, DrawsInProportion) {
  const std::vector<float> logits = {0, 1, 2, 3, -30};
  for (const float temperature : {0.5f, 1.0f, 2.0f}) {
    SamplerOptions options;
    options.temperature = temperature;
    constexpr int kDraws = 100'000;
    std::vector<int> counts(logits.size());
    for (const Token token : draw(options, logits, kDraws)) ++counts[token];
    double total = 0;
    for (const float logit : logits) total += std::exp(logit / temperature);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double p = std::exp(logits[i] / temperature) / total;
      const double deviation = std::sqrt(kDraws * p * (1 - p));
      EXPECT_NEAR(counts[i], kDraws * p, 5 * deviation + 1) << i;
    }
  }
}

TEST(Sampler, AColdTemperatureIsGreedy) {
  SamplerOptions options;
  options.temperature = 1e-30f;
  EXPECT_EQ(support(options, std::vector<float>{0, 1, 1.001f, -1}), std::set<Token>{2});
}

TEST(Sampler, TopKKeepsTheKLargestLowIdsFirst) {
  SamplerOptions options;
  options.temperature = 1;
  options.top_k = 3;
  EXPECT_EQ(support(options, std::vector<float>{1, 2, 1, 2, 1, 0}), (std::set<Token>{0, 1, 3}));
  options.top_k = 100;
  EXPECT_EQ(support(options, std::vector<float>{1, 2, 1}).size(), 3u);
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  // Probabilities 0.4, 0.3, 0.2, 0.1 at ids 2, 0, 3, 1.
  const std::vector<float> logits = {std::log(3.0f), 0, std::log(4.0f), std::log(2.0f)};
  SamplerOptions options;
  options.temperature = 1;
  const auto kept = [&](float top_p) {
    options.top_p = top_p;
    return support(options, logits);
  };
  EXPECT_EQ(kept(0), (std::set<Token>{2}));
  EXPECT_EQ(kept(0.39f), (std::set<Token>{2}));
  EXPECT_EQ(kept(0.5f), (std::set<Token>{0, 2}));
  EXPECT_EQ(kept(0.75f), (std::set<Token>{0, 2, 3}));
  EXPECT_EQ(kept(0.95f), (std::set<Token>{0, 1, 2, 3}));
}

TEST(Sampler, TopPAgreesWithSortingAllOfALargeVocabulary) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const auto logits = random_logits(2000, seed);
    for (const float top_p : {0.3f, 0.9f, 0.999f, 0.9999f}) {
      SamplerOptions options;
      options.temperature = 1.5f;
      options.top_p = top_p;
      std::vector<Token> order(logits.size());
      std::iota(order.begin(), order.end(), 0u);
      std::sort(order.begin(), order.end(), [&](Token a, Token b) {
        return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
      });
      double total = 0;
      for (const Token token : order) total += std::exp(double(logits[token]) / 1.5);
      double sum = 0;
      std::set<Token> nucleus;
      for (const Token token : order) {
        if (sum >= double(top_p) * total) break;
        sum += std::exp(double(logits[token]) / 1.5);
        nucleus.insert(token);
      }
      for (const Token token : draw(options, logits, 200)) {
        ASSERT_TRUE(nucleus.contains(token)) << "seed " << seed << " top_p " << top_p;
      }
    }
  }
}

TEST(Sampler, MinPKeepsWhatIsLikelyBesideTheBest) {
  const std::vector<float> logits = {0, std::log(0.5f), std::log(0.2f), std::log(0.09f)};
  SamplerOptions options;
  options.temperature = 1;
  options.min_p = 0.1f;
  EXPECT_EQ(support(options, logits), (std::set<Token>{0, 1, 2}));
  options.min_p = 1;
  EXPECT_EQ(support(options, logits), (std::set<Token>{0}));
}

TEST(Sampler, RepetitionPenaltyCountsPromptAndOutput) {
  SamplerOptions options;
  options.repetition_penalty = 2;
  const std::vector<Token> prompt = {2, 7'000'000};
  Sampler sampler(options, prompt, 4);
  const std::vector<float> logits = {1.5f, 0.9f, 2, -1};
  EXPECT_EQ(sampler.sample(logits), 0u);  // 2 halves to 1
  EXPECT_EQ(sampler.sample(logits), 2u);  // 0 halves to 0.75; then 2 stays at 1
  const std::vector<float> negative = {-3, -1.5f, -1, -2.5f};
  Sampler below(options, prompt, 4);
  EXPECT_EQ(below.sample(negative), 1u);  // -1 doubles to -2
}

TEST(Sampler, PresenceAndFrequencyCountOutputAlone) {
  SamplerOptions options;
  options.presence_penalty = 1;
  const std::vector<Token> prompt = {0};
  const std::vector<float> logits = {2, 1.5f, 0};
  Sampler presence(options, prompt, 3);
  EXPECT_EQ(presence.sample(logits), 0u);
  EXPECT_EQ(presence.sample(logits), 1u);  // 0 is at 1 now
  EXPECT_EQ(presence.sample(logits), 0u);  // 1 is at 0.5; once is enough for presence
  EXPECT_EQ(presence.sample(logits), 0u);
  options = {};
  options.frequency_penalty = 0.4f;
  Sampler frequency(options, prompt, 3);
  std::vector<Token> tokens;
  for (int i = 0; i < 5; ++i) tokens.push_back(frequency.sample(logits));
  EXPECT_EQ(tokens, (std::vector<Token>{0, 0, 1, 0, 1}));
}

TEST(Sampler, LogitBiasAddsAndBans) {
  SamplerOptions options;
  options.logit_bias = {{0, -100.0f}, {2, 0.75f}, {50'000, 100.0f}};
  EXPECT_EQ(draw(options, std::vector<float>{5, 1, 0.5f}, 1), std::vector<Token>{2});
}

TEST(SamplerOptions, RangesAreCheckedAndNamed) {
  const auto refused = [](auto change) -> std::string {
    SamplerOptions options;
    change(options);
    const auto result = validate(options);
    if (result) return "";
    EXPECT_EQ(result.error().code, Code::kInvalid);
    return result.error().message;
  };
  const float nan = std::nanf("");
  EXPECT_EQ(refused([](auto&) {}), "");
  EXPECT_EQ(refused([](auto& o) {
              o.temperature = 2;
              o.top_p = 0;
              o.min_p = 1;
            }),
            "");
  EXPECT_NE(refused([](auto& o) { o.temperature = -1; }).find("temperature"), std::string::npos);
  EXPECT_NE(refused([&](auto& o) { o.temperature = nan; }).find("temperature"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.top_p = 1.5f; }).find("top_p: 1.5, wanted 0 to 1"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.min_p = -0.1f; }).find("min_p"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.repetition_penalty = 0; }).find("repetition_penalty"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.presence_penalty = 3; }).find("presence_penalty"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.frequency_penalty = -3; }).find("frequency_penalty"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.logit_bias[7] = 101; }).find("logit_bias of token 7"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) {
              for (Token token = 0; token <= kLogitBiasCountMax; ++token) o.logit_bias[token] = 1;
            }).find("logit_bias: 1025"),
            std::string::npos);
}

}  // namespace
}  // namespace thaw::text
