// Replays arrivals through a warm pool on virtual time: what each invocation would have waited for,
// and what it would have cost.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "runtime/cost/bill.h"
#include "runtime/cost/quantiles.h"
#include "runtime/simulate/arrivals.h"
#include "runtime/simulate/phases.h"
#include "warmpool/limits.h"
#include "warmpool/pool.h"

namespace thaw::simulate {

// One way to run the functions of a trace; all of them alike.
struct Setup {
  std::string name;  // for people
  cost::Shape shape;
  Phases phases;  // on the shape's processors
  warmpool::FunctionLimits limits;
  warmpool::PoolLimits pool;
  std::chrono::nanoseconds timeout =
      std::chrono::seconds(900);                      // of an invocation; then it is lost
  std::optional<std::chrono::nanoseconds> queue_max;  // who waits longer is refused
  // A start takes this long instead, from a snapshot of the platform's (Lambda's SnapStart).
  std::optional<std::chrono::nanoseconds> restore;
};

constexpr std::size_t kReasonCount = static_cast<std::size_t>(warmpool::Reason::kShutDown) + 1;

struct Outcome {
  std::uint64_t arrived = 0, served = 0, cold = 0, timed_out = 0;
  std::uint64_t refused = 0;
  std::array<std::uint64_t, kReasonCount> refused_for{};  // by warmpool::Reason
  // From arrival to the end of the answer; cold is who waited for a start, warm who did not.
  cost::Quantiles latency, cold_latency, warm_latency;
  cost::Quantiles first_token;  // from arrival
  cost::Quantiles waited;       // from arrival to a ready instance
  std::uint64_t starts = 0, prewarmed = 0, functions = 0;
  std::uint64_t instances_peak = 0, leases_peak = 0;
  double idle_gb_seconds = 0,
         busy_gb_seconds = 0;        // of instances ready; what keeping them warm took
  std::chrono::nanoseconds span{0};  // to the last arrival, or the last answer where that is later
  cost::Usage usage;                 // of the span
};

// Memory does not grow with the number of arrivals.
// Errors: those of `arrivals`; kInvalid (limits that contradict each other, phases out of bounds).
Result<Outcome> simulate(Arrivals& arrivals, const Setup& setup);

// What 30 days of the same would come to: tiers and free tier are a month's.
cost::Bill month_of(const Outcome& outcome, const Setup& setup, const cost::PriceList& prices,
                    bool free_tier);

// "ReservedFunctionConcurrentInvocationLimitExceeded" is for callers; people read "function limit".
std::string_view name_of(warmpool::Reason reason);

}  // namespace thaw::simulate
