// What an instance counts: invocations, answers, tokens and how long they took, as Prometheus reads
// it. Counts and times only, never text.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "handler/generator.h"

namespace thaw::handler {

// A value that somebody else knows: the loop's queue, the phases of the start.
struct Gauge {
  std::string_view name;   // "thaw_queue_length"; gauges of one name come one after the other
  std::string_view help;   // one line
  std::string_view label;  // "phase=\"map\"", or empty
  double value = 0;
};

// One generation, from the request's arrival to its end.
struct GenerationTimes {
  std::chrono::nanoseconds first_text{};  // 0: there was none
  std::chrono::nanoseconds total{};
};

// Thread-safe. The names that it is given are literals of ours, so that their number is bounded.
class Metrics {
 public:
  void invocation_began();
  void invocation_ended(std::string_view source, bool failed);
  void http_answered(std::string_view route, int status);
  void generated(const Generation& generation, const GenerationTimes& times);
  void generation_failed(Code code);

  // Prometheus' text format 0.0.4. `gauges` follow what is counted here.
  std::string text(std::span<const Gauge> gauges) const;

 private:
  // Cumulative counts up to each bound, as Prometheus wants them.
  template <std::size_t kBounds>
  struct Histogram {
    std::array<std::uint64_t, kBounds + 1> counts{};  // the last: above every bound
    double sum = 0;
    void add(std::span<const double, kBounds> bounds, double value);
  };
  // Seconds. Cold starts of large models take a minute; a token of a small one a millisecond.
  static constexpr std::array<double, 17> kLatencyBounds = {
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160};

  using Latencies = Histogram<kLatencyBounds.size()>;
  static void write(std::string& to, std::string_view name, std::string_view help,
                    const Latencies& of);

  mutable std::mutex mutex_;  // guards everything below
  std::int64_t in_flight_ = 0;
  std::map<std::pair<std::string_view, bool>, std::uint64_t> invocations_;  // source, failed
  std::map<std::pair<std::string_view, int>, std::uint64_t> answers_;       // route, status
  std::map<std::string_view, std::uint64_t> finished_;                      // by reason
  std::map<std::string_view, std::uint64_t> failed_;                        // by code
  std::uint64_t prompt_tokens_ = 0, cached_tokens_ = 0;
  std::uint64_t completion_tokens_ = 0, reasoning_tokens_ = 0;
  Latencies first_text_, per_token_, total_;
};

}  // namespace thaw::handler
