#include "base/clock.h"

#include <thread>

namespace thaw {
namespace {

class SystemClock final : public Clock {
 public:
  Monotonic now() const override { return std::chrono::steady_clock::now(); }
  Wall wall_now() const override { return std::chrono::system_clock::now(); }
  void sleep_until(Monotonic when) override { std::this_thread::sleep_until(when); }
};

}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

void ManualClock::sleep_until(Monotonic when) {
  if (when > now_) advance(when - now_);
}

void ManualClock::advance(std::chrono::nanoseconds by) {
  now_ += std::chrono::duration_cast<Monotonic::duration>(by);
  wall_ += std::chrono::duration_cast<Wall::duration>(by);
}

}  // namespace thaw
