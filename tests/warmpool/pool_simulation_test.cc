// A million invocations on virtual time, every invariant checked after every event. `make
// test-pool` runs ten million.
#include <gtest/gtest.h>

#include "world.h"

namespace thaw::warmpool {
namespace {

TEST(PoolSimulation, KeepsItsInvariantsInManySmallWorlds) {
  WorldCounts all;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    World world({.seed = seed, .invocations = 500, .instances_max = 4});
    const auto broken = world.run();
    ASSERT_FALSE(broken) << *broken;
    const WorldCounts& counts = world.counts();
    all.failed_starts += counts.failed_starts;
    all.crashed += counts.crashed;
    all.cancelled += counts.cancelled;
    all.evicted += counts.evicted;
    all.prewarmed += counts.prewarmed;
    all.reset += counts.reset;
    all.waited_too_long += counts.waited_too_long;
    all.drained += counts.drained;
    all.recycled += counts.recycled;
    all.limits_changed += counts.limits_changed;
  }
  // Each kind of trouble has been there, or nothing was shown.
  EXPECT_GT(all.failed_starts, 100u);
  EXPECT_GT(all.crashed, 100u);
  EXPECT_GT(all.cancelled, 100u);
  EXPECT_GT(all.evicted, 100u);
  EXPECT_GT(all.prewarmed, 10u);
  EXPECT_GT(all.reset, 100u);
  EXPECT_GT(all.waited_too_long, 100u);
  EXPECT_GT(all.drained, 100u);
  EXPECT_GT(all.recycled, 100u);
  EXPECT_GT(all.limits_changed, 100u);
}

TEST(PoolSimulation, KeepsThemOverAMillionInvocations) {
  for (std::uint64_t seed = 1001; seed <= 1004; ++seed) {
    World world({.seed = seed, .invocations = 250'000, .functions_max = 40, .instances_max = 60});
    const auto broken = world.run();
    ASSERT_FALSE(broken) << *broken;
    EXPECT_EQ(world.counts().asked, 250'000u);
    EXPECT_EQ(world.counts().leased + world.counts().refused + world.counts().cancelled, 250'000u);
  }
}

TEST(PoolSimulation, HappensTheSameWayForTheSameSeed) {
  World first({.seed = 77, .invocations = 5000}), second({.seed = 77, .invocations = 5000});
  ASSERT_FALSE(first.run());
  ASSERT_FALSE(second.run());
  EXPECT_EQ(first.counts().events, second.counts().events);
  EXPECT_EQ(first.counts().leased, second.counts().leased);
  EXPECT_EQ(first.counts().started, second.counts().started);
}

}  // namespace
}  // namespace thaw::warmpool
