// Policies of how long an idle instance is kept, and when to start one ahead of an invocation that
// is expected. A policy belongs to one function and sees nothing but how long it was idle.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>

#include "base/result.h"

namespace thaw::warmpool {

// Kept for `time` after the last use, as platforms do.
struct FixedTime {
  std::chrono::nanoseconds time = std::chrono::minutes(10);
  bool operator==(const FixedTime&) const = default;
};

// Learns how long the function stays idle: Shahrad et al., "Serverless in the Wild", USENIX ATC
// 2020, section 4.2, with the paper's defaults. Where the paper fits an ARIMA model (most idle
// times lie beyond the histogram) this uses their exponentially weighted mean.
struct HybridHistogram {
  std::chrono::nanoseconds bin = std::chrono::minutes(1);
  std::uint32_t bin_count = 240;    // at most kBinCountMax; together the range: four hours
  double head = 0.05, tail = 0.99;  // the quantiles between which an instance is there
  double margin = 0.10;             // added on both sides
  double variation_min = 2.0;       // of the bins' counts; below, it tells nothing
  std::uint32_t samples_min = 10;   // fewer idle times tell nothing yet
  double beyond_max = 0.5;          // share of idle times beyond the range
  double forecast_margin = 0.15;    // of the mean, on both sides
  static constexpr std::uint32_t kBinCountMax = 100'000;  // bounds memory: 4 bytes each
  bool operator==(const HybridHistogram&) const = default;
};

// Kept until its memory is wanted: Fuerst and Sharma, "FaasCache", ASPLOS 2021. What goes first is
// the pool's order of eviction, which is that paper's for every policy (eviction.h).
struct GreedyDual {
  bool operator==(const GreedyDual&) const = default;
};

using KeepAliveOptions = std::variant<FixedTime, HybridHistogram, GreedyDual>;

// What a policy wants done with an instance that falls idle. Counted from when it did.
struct Windows {
  // Where the whole function is idle: stop it now, and start another after this long.
  std::optional<std::chrono::nanoseconds> prewarm;
  // How long to keep it, counted from the prewarming where there is one; absent: for ever.
  std::optional<std::chrono::nanoseconds> keep;
};

// One thread at a time.
class KeepAlive {
 public:
  virtual ~KeepAlive() = default;
  // The function is asked for after nothing of it was under way for `idle`.
  virtual void arrived(std::chrono::nanoseconds idle) = 0;
  virtual Windows windows() const = 0;
};

// Errors: kInvalid, naming the option.
Result<std::unique_ptr<KeepAlive>> make_keep_alive(const KeepAliveOptions& options);

}  // namespace thaw::warmpool
