// Keeps a Rate, exactly, in two numbers (the generic cell rate algorithm).
#pragma once

#include <algorithm>

#include "base/clock.h"
#include "warmpool/limits.h"

namespace thaw::warmpool {

class TokenBucket {
 public:
  void set(const Rate& rate) { rate_ = rate; }
  bool may_take(Clock::Monotonic now) const { return rate_.count == 0 || next_at() <= now; }
  void take(Clock::Monotonic now) {  // precondition: may_take(now)
    if (rate_.count == 0) return;
    full_at_ = std::max(full_at_, now) + interval();
  }
  // When there is one to take; may be past.
  Clock::Monotonic next_at() const { return full_at_ - (rate_.per - interval()); }

 private:
  // Rounded up, so that the rate is never passed.
  std::chrono::nanoseconds interval() const {
    return (rate_.per + std::chrono::nanoseconds(rate_.count - 1)) / rate_.count;
  }
  Rate rate_;
  Clock::Monotonic full_at_{};  // when every token would be there again
};

}  // namespace thaw::warmpool
