#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "runtime/simulate/arrivals.h"

namespace thaw::simulate {
namespace {

using namespace std::chrono_literals;

std::vector<Arrival> all_of(const GeneratorOptions& options) {
  auto source = generate(options);
  EXPECT_TRUE(source);
  std::vector<Arrival> arrivals;
  while (true) {
    const auto next = (*source)->next();
    if (!*next) return arrivals;
    if (!arrivals.empty()) {
      EXPECT_GE((**next).at, arrivals.back().at);
    }
    arrivals.push_back(**next);
  }
}

// The variance of the counts in windows, divided by their mean: 1 for a Poisson process.
double dispersion(const std::vector<Arrival>& arrivals, std::chrono::seconds window,
                  std::chrono::nanoseconds length) {
  std::vector<double> counts(static_cast<std::size_t>(length / window) + 1);
  for (const Arrival& arrival : arrivals) ++counts[static_cast<std::size_t>(arrival.at / window)];
  counts.pop_back();
  double mean = 0, square = 0;
  for (const double count : counts) mean += count;
  mean /= static_cast<double>(counts.size());
  for (const double count : counts) square += (count - mean) * (count - mean);
  return square / static_cast<double>(counts.size()) / mean;
}

TEST(Generate, KeepsTheRateInEveryPattern) {
  for (const Pattern pattern : {Pattern::kPoisson, Pattern::kBursty, Pattern::kDiurnal}) {
    const auto arrivals = all_of({pattern, 2, std::chrono::hours(24 * 5), 3, {}});
    EXPECT_NEAR(static_cast<double>(arrivals.size()), 2 * 5 * 86400.0, 0.05 * 2 * 5 * 86400);
  }
}

TEST(Generate, DiffersInHowMuchItGathers) {
  const auto length = std::chrono::hours(24);
  const auto poisson = all_of({Pattern::kPoisson, 2, length, 1, {}});
  const auto bursty = all_of({Pattern::kBursty, 2, length, 1, {}});
  EXPECT_NEAR(dispersion(poisson, 10s, length), 1, 0.1);
  EXPECT_GT(dispersion(bursty, 10s, length), 10);
}

TEST(Generate, WavesWithTheDay) {
  const auto arrivals = all_of({Pattern::kDiurnal, 2, std::chrono::hours(24), 1, {}});
  double day = 0, night = 0;
  for (const Arrival& arrival : arrivals) ++(arrival.at < std::chrono::hours(12) ? day : night);
  // 1 + 0.8 x 2 / pi and 1 - that.
  EXPECT_NEAR(day / night, (1 + 1.6 / M_PI) / (1 - 1.6 / M_PI), 0.1);
}

TEST(Generate, IsTheSameForTheSameSeed) {
  const GeneratorOptions options{Pattern::kBursty, 5, 60s, 9, {100, 50, 0.5}};
  const auto first = all_of(options), second = all_of(options);
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].at, second[i].at);
    EXPECT_EQ(first[i].prompt_tokens, second[i].prompt_tokens);
  }
  GeneratorOptions other = options;
  other.seed = 10;
  EXPECT_NE(all_of(other).at(0).at, first[0].at);
}

TEST(Generate, SpreadsTokensAroundTheirMedian) {
  const auto arrivals = all_of({Pattern::kPoisson, 10, 1000s, 1, {100, 50, 0.5}});
  std::size_t below = 0, far = 0;
  for (const Arrival& arrival : arrivals) {
    below += arrival.prompt_tokens < 100;
    far += arrival.prompt_tokens > 165;  // one deviation
    EXPECT_GE(arrival.output_tokens, 1u);
  }
  const auto count = static_cast<double>(arrivals.size());
  EXPECT_NEAR(static_cast<double>(below) / count, 0.5, 0.03);
  EXPECT_NEAR(static_cast<double>(far) / count, 0.16, 0.03);
}

TEST(Generate, RefusesWhatMakesNoSense) {
  const auto code = [](const GeneratorOptions& options) { return generate(options).error().code; };
  EXPECT_EQ(code({Pattern::kPoisson, 0, 1s, 1, {}}), Code::kInvalid);
  EXPECT_EQ(code({Pattern::kPoisson, NAN, 1s, 1, {}}), Code::kInvalid);
  EXPECT_EQ(code({Pattern::kPoisson, 1, 0s, 1, {}}), Code::kInvalid);
  EXPECT_EQ(code({Pattern::kPoisson, 1, std::chrono::hours(24 * 366 * 11), 1, {}}), Code::kInvalid);
  EXPECT_EQ(code({Pattern::kPoisson, 1, 1s, 1, {1, 1, -1}}), Code::kInvalid);
}

}  // namespace
}  // namespace thaw::simulate
