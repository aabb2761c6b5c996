// How long a thread spins for another before it parks, learnt from how its last spins ended. For
// thread_pool.cc alone.
#pragma once

#include <algorithm>
#include <chrono>

namespace thaw::internal {

// One thread's own. A spin that ends in a park was wasted, and the next one is half as long: where
// threads share a processor, spinning takes time from the thread that is waited for.
class Patience {
 public:
  // Steps of a forward pass follow each other within some microseconds; a park and a wake cost five
  // to fifty.
  static constexpr std::chrono::nanoseconds kSpinMax{50'000};
  static constexpr std::chrono::nanoseconds kSpinMin{500};  // below this halving is not worth it
  // Once spins are shorter than a usual wait all of them are wasted, and a pool would park at each
  // step for ever. So of so many impatient spins one is as long as any: where it succeeds, the
  // others would have. Where threads share a processor it costs kSpinMax / kProbeEvery a wait.
  static constexpr unsigned kProbeEvery = 64;

  // How long to spin now.
  std::chrono::nanoseconds spin() {
    probes_ = spin_ < kSpinMax && ++impatient_ % kProbeEvery == 0;
    return probes_ ? kSpinMax : spin_;
  }
  // How that spin ended.
  void succeeded() { spin_ = probes_ ? kSpinMax : std::min(kSpinMax, spin_ + spin_ / 4); }
  void failed() { spin_ = std::max(kSpinMin, spin_ / 2); }

 private:
  std::chrono::nanoseconds spin_ = kSpinMax;
  unsigned impatient_ = 0;  // spins shorter than kSpinMax
  bool probes_ = false;
};

}  // namespace thaw::internal
