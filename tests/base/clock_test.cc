#include "base/clock.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

using namespace std::chrono_literals;

TEST(ManualClock, StandsStillUntilMoved) {
  ManualClock clock;
  const auto start = clock.now();
  const auto wall_start = clock.wall_now();
  EXPECT_EQ(clock.now(), start);
  clock.advance(1500ms);
  EXPECT_EQ(clock.now() - start, 1500ms);
  EXPECT_EQ(clock.wall_now() - wall_start, 1500ms);
}

TEST(ManualClock, SleepingMovesItForwardOnly) {
  ManualClock clock;
  const auto start = clock.now();
  clock.sleep_until(start + 2s);
  EXPECT_EQ(clock.now() - start, 2s);
  EXPECT_EQ(clock.wall_now().time_since_epoch(), 2s);
  clock.sleep_until(start + 1s);
  EXPECT_EQ(clock.now() - start, 2s);
}

TEST(SystemClock, SleepsAtLeastAsLongAsAsked) {
  Clock& clock = system_clock();
  const auto until = clock.now() + 2ms;
  clock.sleep_until(until);
  EXPECT_GE(clock.now(), until);
  EXPECT_GT(clock.wall_now().time_since_epoch(), std::chrono::hours(24 * 365 * 50));
}

}  // namespace
}  // namespace thaw
