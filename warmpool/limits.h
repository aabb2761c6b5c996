// What a pool and its functions may use. Numbers only: the pool does the checking.
#pragma once

#include <chrono>
#include <cstdint>

#include "warmpool/keep_alive.h"

namespace thaw::warmpool {

// A bucket: `count` at once, refilled evenly in `per`, and never holding more. 0: as many as come.
struct Rate {
  std::uint32_t count = 0;
  std::chrono::nanoseconds per = std::chrono::seconds(1);
  bool operator==(const Rate&) const = default;
};

struct FunctionLimits {
  std::uint32_t instances_max = 10;  // 0: every invocation is refused
  // instances_max x invocations_per_instance is set aside from the total, so that no other function
  // can take it, and this one needs no part of the rest.
  bool reserved = false;
  std::uint32_t invocations_per_instance = 1;  // at least 1; leases of an instance at a time
  std::uint32_t queue_length_max =
      0;  // who may wait beyond instances_max; 0: refused, as on Lambda
  // Instances kept started, whether or not anybody asks; at most instances_max. They are lent
  // first; what they cannot serve spills over to instances started on demand.
  std::uint32_t provisioned = 0;
  // Of starts for invocations and predictions; Lambda's is {1000, 10 s}. Who finds it used up is
  // refused where nobody may queue, and waits elsewhere.
  Rate start_rate{0, std::chrono::seconds(10)};
  Rate invocation_rate{};            // Lambda's is ten times the concurrency, in a second
  bool pauses = false;               // instances on lease to nobody are told to pause
  std::uint64_t instance_bytes = 0;  // what one holds of PoolLimits::memory_bytes_max
  KeepAliveOptions keep_alive = FixedTime{};
};

struct PoolLimits {
  // Invocations under way, waiting ones included, of all functions; 0: no limit.
  std::uint32_t concurrency_max = 0;
  Rate invocation_rate{};  // of all functions
  // Sum of instance_bytes of all that are not gone; 0: no limit. Idle instances are evicted for
  // starts that are waited for, those first that are cheap to thaw again (see eviction.h).
  std::uint64_t memory_bytes_max = 0;
};

}  // namespace thaw::warmpool
