// What became of the invocations: counts, times and cost of each function, and the last of them.
// Never what was asked or answered.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "runtime/cost/quantiles.h"

namespace thaw::emulator {

enum class Ending : unsigned char {
  kAnswered,
  kFailed,
  kTimedOut,
  kThrottled,    // it never began
  kUnavailable,  // nor did this
  kLost,         // it was answered, and its caller's connection broke on purpose
};
std::string_view name_of(Ending ending);  // "answered", "failed", "timeout", ...

struct LedgerEntry {
  Clock::Wall at{};  // when it came
  std::string function;
  std::string request_id;
  Ending ending = Ending::kAnswered;
  std::string error_type;               // empty where it succeeded
  bool cold = false;                    // it waited for a start
  bool restored = false;                // which was a restore of a snapshot of memory
  std::chrono::nanoseconds waited{};    // for an instance, its start included
  std::chrono::nanoseconds init{};      // the start, or the restore, where cold
  std::chrono::nanoseconds latency{};   // from there until the answer began
  std::chrono::nanoseconds duration{};  // until it was whole
  std::int64_t billed_ms = 0;
  std::uint32_t memory_mb = 0;
  std::uint64_t peak_mb = 0;
  std::size_t answer_bytes = 0;
  std::string timing;  // what the runtime said of its phases

  bool ran() const { return ending != Ending::kThrottled && ending != Ending::kUnavailable; }
};

struct Totals {
  std::uint64_t invocations = 0;
  std::array<std::uint64_t, 6> by_ending{};  // indexed by Ending
  std::uint64_t cold = 0, warm = 0, restores = 0;
  std::uint64_t answer_bytes = 0;
  std::uint64_t streamed_bytes = 0;  // of them, what is billed for having been streamed
  std::int64_t billed_ms = 0;
  double gb_seconds = 0;
  std::uint32_t memory_mb = 0;             // the last one's
  cost::Quantiles cold_times, warm_times;  // as a caller sees them: waiting and duration

  std::uint64_t of(Ending ending) const { return by_ending[static_cast<std::size_t>(ending)]; }
};

// Thread-safe.
class Ledger {
 public:
  static constexpr std::size_t kRecentMax = 200;

  // `told` hears each record, on the thread that adds it; may be empty.
  explicit Ledger(std::function<void(const LedgerEntry&)> told = {}) : told_(std::move(told)) {}

  void add(const LedgerEntry& record);
  std::map<std::string, Totals> totals() const;              // by function
  std::vector<LedgerEntry> recent(std::size_t count) const;  // the newest first

 private:
  const std::function<void(const LedgerEntry&)> told_;
  mutable std::mutex mutex_;  // guards all below
  std::map<std::string, Totals> totals_;
  std::deque<LedgerEntry> recent_;
};

}  // namespace thaw::emulator
