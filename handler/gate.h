// Whether an instance takes invocations now, and what it can say about itself: the loop's
// knowledge, as /readyz, /metrics and refusals need it.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "handler/metrics.h"

namespace thaw::handler {

// Why nothing is taken now. Clients that retry by themselves wait as long as they are told.
struct Closed {
  std::string_view code;     // "loading", "overloaded", "draining"; a literal
  std::string_view message;  // one line: what is the matter; what to do
  std::chrono::milliseconds retry_after{1000};
};

// Thread-safe, as its implementations must be.
class Gate {
 public:
  virtual ~Gate() = default;
  // Nothing: invocations are taken.
  virtual std::optional<Closed> closed() const { return std::nullopt; }
  virtual std::vector<Gauge> gauges() const { return {}; }
};

}  // namespace thaw::handler
