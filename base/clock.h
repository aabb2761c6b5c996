// Time behind an interface, so that tests and simulations can hold it still, move it and fail it.
#pragma once

#include <chrono>

namespace thaw {

// Thread-safe.
class Clock {
 public:
  using Monotonic = std::chrono::steady_clock::time_point;
  using Wall = std::chrono::system_clock::time_point;

  virtual ~Clock() = default;
  virtual Monotonic now() const = 0;  // never goes back; for durations and deadlines
  virtual Wall wall_now() const = 0;  // for what people and platforms call a time
  virtual void sleep_until(Monotonic when) = 0;
};

// The machine's clocks. Stateless; lives as long as the program.
Clock& system_clock();

// A clock that stands still until told to move; sleeping moves it. One thread at a time.
class ManualClock final : public Clock {
 public:
  Monotonic now() const override { return now_; }
  Wall wall_now() const override { return wall_; }
  void sleep_until(Monotonic when) override;
  void advance(std::chrono::nanoseconds by);

 private:
  Monotonic now_{};
  Wall wall_{};
};

}  // namespace thaw
