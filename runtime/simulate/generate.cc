#include <cmath>

#include "base/random.h"
#include "base/str.h"
#include "runtime/simulate/arrivals.h"
#include "runtime/simulate/tokens.h"

namespace thaw::simulate {
namespace {

constexpr double kDaySeconds = 86400;
// Shares and factors of Pattern's words; each keeps the average at `rate`.
constexpr double kBurstShare = 0.1, kBurstFactor = 9;
constexpr double kBurstSeconds = 30;  // on average
constexpr double kCalm = 1 / (1 - kBurstShare + kBurstShare * kBurstFactor);
constexpr double kWave = 0.8;  // 1 + 0.8 is nine times 1 - 0.8

// An inhomogeneous Poisson process by thinning (Lewis, Shedler 1979): candidates at the highest
// rate, each kept in proportion to the rate of its moment.
class Generator final : public Arrivals {
 public:
  explicit Generator(const GeneratorOptions& options)
      : options_(options),
        random_(options.seed),
        highest_(options.rate * factor_max(options.pattern)),
        end_(std::chrono::duration<double>(options.length).count()) {}

  Result<std::optional<Arrival>> next() override {
    while (true) {
      now_ += exponential(1 / highest_);
      if (now_ >= end_) return std::optional<Arrival>();
      if (random_.unit() * highest_ >= options_.rate * factor_now()) continue;
      Arrival arrival;
      arrival.at = std::chrono::nanoseconds(static_cast<std::int64_t>(now_ * 1e9));
      draw_tokens(options_.tokens, random_, arrival);
      return std::optional(arrival);
    }
  }

 private:
  static double factor_max(Pattern pattern) {
    if (pattern == Pattern::kBursty) return kCalm * kBurstFactor;
    return pattern == Pattern::kDiurnal ? 1 + kWave : 1;
  }
  double exponential(double mean) { return -std::log(1 - random_.unit()) * mean; }
  double factor_now() {
    if (options_.pattern == Pattern::kDiurnal) {
      return 1 + kWave * std::sin(2 * M_PI * now_ / kDaySeconds);
    }
    if (options_.pattern != Pattern::kBursty) return 1;
    while (now_ >= turn_at_) {
      bursts_ = turn_at_ > 0 && !bursts_;
      turn_at_ +=
          exponential(bursts_ ? kBurstSeconds : kBurstSeconds * (1 - kBurstShare) / kBurstShare);
    }
    return bursts_ ? kCalm * kBurstFactor : kCalm;
  }

  GeneratorOptions options_;
  Random random_;
  double highest_, end_;
  double now_ = 0, turn_at_ = 0;
  bool bursts_ = false;
};

}  // namespace

Result<std::unique_ptr<Arrivals>> generate(const GeneratorOptions& options) {
  const double length = std::chrono::duration<double>(options.length).count();
  if (!(options.rate > 0 && options.rate <= 1e6)) {
    return fail(Code::kInvalid,
                cat("generate: rate ", options.rate, ", want more than 0, at most 1e6 a second"));
  }
  if (!(length > 0 && length <= kTraceSecondsMax)) {
    return fail(Code::kInvalid, cat("generate: length ", length, " s, want more than 0, at most ",
                                    kTraceSecondsMax));
  }
  if (!(options.tokens.spread >= 0 && options.tokens.spread <= 5)) {
    return fail(Code::kInvalid, cat("generate: spread ", options.tokens.spread, ", want 0 to 5"));
  }
  return std::unique_ptr<Arrivals>(std::make_unique<Generator>(options));
}

}  // namespace thaw::simulate
