#include "warmpool/keep_alive.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/str.h"

namespace thaw::warmpool {
namespace {

using std::chrono::nanoseconds;

class Fixed final : public KeepAlive {
 public:
  explicit Fixed(std::optional<nanoseconds> time) : windows_{std::nullopt, time} {}
  void arrived(nanoseconds) override {}
  Windows windows() const override { return windows_; }

 private:
  Windows windows_;
};

nanoseconds scaled(nanoseconds time, double by) {
  // Far below what a time point can hold; a policy never plans further ahead.
  constexpr double kMaxNs = 1e17;
  return nanoseconds(
      static_cast<std::int64_t>(std::min(static_cast<double>(time.count()) * by, kMaxNs)));
}

class Histogram final : public KeepAlive {
 public:
  explicit Histogram(const HybridHistogram& options)
      : options_(options), counts_(options.bin_count) {}

  void arrived(nanoseconds idle) override {
    stale_ = true;
    constexpr double kWeight = 0.3;  // of the newest idle time in the mean
    mean_ns_ += (static_cast<double>(idle.count()) - mean_ns_) * (seen_ + beyond_ ? kWeight : 1.0);
    const auto bin = static_cast<std::uint64_t>(idle.count() / options_.bin.count());
    if (bin >= counts_.size()) {
      ++beyond_;
      return;
    }
    ++seen_;
    squares_ += 2.0 * counts_[bin] + 1;
    ++counts_[bin];
  }

  Windows windows() const override {
    if (stale_) windows_ = compute();
    stale_ = false;
    return windows_;
  }

 private:
  Windows compute() const {
    const nanoseconds range = options_.bin * options_.bin_count;
    const auto all = static_cast<double>(seen_ + beyond_);
    if (beyond_ > 0 && seen_ + beyond_ >= options_.samples_min &&
        static_cast<double>(beyond_) > options_.beyond_max * all) {
      const nanoseconds mean(static_cast<std::int64_t>(mean_ns_));
      return {scaled(mean, 1 - options_.forecast_margin),
              scaled(mean, 2 * options_.forecast_margin)};
    }
    if (!tells()) return {std::nullopt, range};
    const nanoseconds head =
        scaled(options_.bin * quantile_bin(options_.head), 1 - options_.margin);
    const nanoseconds tail =
        scaled(options_.bin * (quantile_bin(options_.tail) + 1), 1 + options_.margin);
    if (head <= nanoseconds(0)) return {std::nullopt, tail};
    return {head, tail - head};
  }

  // Whether idle times gather in few bins: their counts' coefficient of variation.
  bool tells() const {
    if (seen_ == 0 || seen_ + beyond_ < options_.samples_min) return false;
    const auto bins = static_cast<double>(counts_.size());
    const double mean = static_cast<double>(seen_) / bins;
    const double variance = squares_ / bins - mean * mean;
    return std::sqrt(std::max(variance, 0.0)) >= options_.variation_min * mean;
  }

  std::uint32_t quantile_bin(double q) const {
    const double wanted = std::max(1.0, std::ceil(q * static_cast<double>(seen_)));
    std::uint64_t below = 0;
    for (std::uint32_t bin = 0; bin < counts_.size(); ++bin) {
      below += counts_[bin];
      if (static_cast<double>(below) >= wanted) return bin;
    }
    return static_cast<std::uint32_t>(counts_.size() - 1);
  }

  HybridHistogram options_;
  std::vector<std::uint32_t> counts_;
  std::uint64_t seen_ = 0, beyond_ = 0;
  double squares_ = 0;  // of the counts, summed
  double mean_ns_ = 0;
  mutable bool stale_ = true;
  mutable Windows windows_;
};

Result<std::unique_ptr<KeepAlive>> make(const FixedTime& options) {
  if (options.time < nanoseconds(0)) {
    return fail(Code::kInvalid,
                cat("keep-alive: time ", options.time.count(), " ns; want 0 or more"));
  }
  return std::make_unique<Fixed>(options.time);
}

Result<std::unique_ptr<KeepAlive>> make(const HybridHistogram& options) {
  const auto wrong = [](std::string_view what) {
    return fail(Code::kInvalid, cat("keep-alive histogram: ", what));
  };
  if (options.bin <= nanoseconds(0)) return wrong("bin must be longer than 0");
  if (options.bin_count == 0 || options.bin_count > HybridHistogram::kBinCountMax) {
    return wrong(
        cat("bin_count ", options.bin_count, "; want 1 to ", HybridHistogram::kBinCountMax));
  }
  if (options.bin > std::chrono::hours(24 * 365) / options.bin_count) {
    return wrong("the range is longer than a year");
  }
  if (!(options.head >= 0 && options.head <= options.tail && options.tail <= 1)) {
    return wrong("want 0 <= head <= tail <= 1");
  }
  for (const double share : {options.margin, options.beyond_max, options.forecast_margin}) {
    if (!(share >= 0 && share <= 1)) {
      return wrong("want margin, beyond_max and forecast_margin within 0 and 1");
    }
  }
  if (!(options.variation_min >= 0)) return wrong("want variation_min 0 or more");
  return std::make_unique<Histogram>(options);
}

Result<std::unique_ptr<KeepAlive>> make(const GreedyDual&) {
  return std::make_unique<Fixed>(std::nullopt);
}

}  // namespace

Result<std::unique_ptr<KeepAlive>> make_keep_alive(const KeepAliveOptions& options) {
  return std::visit([](const auto& chosen) { return make(chosen); }, options);
}

}  // namespace thaw::warmpool
