// What the pool does where memory is short: whom it evicts, who gets what falls free.
#include <gmock/gmock.h>

#include "pool_fixture.h"

namespace thaw::warmpool {
namespace {

using namespace std::chrono_literals;

class PoolMemoryTest : public testing::Test {
 protected:
  void add(const char* name, std::uint64_t bytes) {
    ASSERT_TRUE(pool.add_function(name, {.instance_bytes = bytes, .keep_alive = GreedyDual{}}));
  }
  // One whole use, the start having taken `thaw`. The instance's id.
  InstanceId use(const char* name, std::chrono::nanoseconds thaw) {
    LeaseId id = 0;
    InstanceId instance = 0;
    pool.acquire(name, {}, [&](const Answer& answer) {
      id = std::get<Lease>(answer).id;
      instance = std::get<Lease>(answer).instance_id;
    });
    if (id == 0) {
      clock.advance(thaw);
      pool.ready(host.started.back().second);
    }
    pool.release(id, Use::kReusable);
    return instance;
  }
  bool stopped(InstanceId id) const { return host.instances.at(id)->stops > 0; }

  ManualClock clock;
  FakeHost host;
  Pool pool{clock, host, {.memory_bytes_max = 10}};
};

TEST_F(PoolMemoryTest, EvictsWhatIsCheapToThawAgainAndStartsOnceItIsGone) {
  add("dear", 4);
  add("cheap", 4);
  add("new", 4);
  const InstanceId dear = use("dear", 5s);
  const InstanceId cheap = use("cheap", 50ms);
  pool.acquire("new", {}, [](const Answer&) {});
  EXPECT_TRUE(stopped(cheap));
  EXPECT_FALSE(stopped(dear));
  EXPECT_EQ(host.started.size(), 2u) << "the memory is not free yet";
  EXPECT_EQ(pool.memory_bytes(), 8u);
  pool.gone(cheap, {});
  EXPECT_EQ(host.started.back().first, "new");
}

TEST_F(PoolMemoryTest, PrefersToEvictWhatIsUsedLessAndHoldsMore) {
  add("often", 3);
  add("seldom", 3);
  add("new", 5);
  const InstanceId seldom = use("seldom", 1s);
  InstanceId often = 0;
  for (int i = 0; i < 5; ++i) often = use("often", 1s);
  pool.acquire("new", {}, [](const Answer&) {});
  EXPECT_TRUE(stopped(seldom));
  EXPECT_FALSE(stopped(often));
}

TEST_F(PoolMemoryTest, EvictsInTheEndWhatWasOnceUsedOften) {
  add("once", 5);
  add("a", 5);
  add("b", 5);
  InstanceId once = 0;
  for (int i = 0; i < 3; ++i) once = use("once", 1s);
  // Each eviction raises the age that newcomers start from.
  for (int i = 0; i < 8 && !stopped(once); ++i) {
    const char* name = i % 2 == 0 ? "a" : "b";
    LeaseId id = 0;
    pool.acquire(name, {}, [&](const Answer& answer) { id = std::get<Lease>(answer).id; });
    for (auto& [victim, instance] : host.instances) {
      if (instance->stops == 1) {
        instance->stops = 2;
        pool.gone(victim, {});
      }
    }
    if (id == 0) {
      clock.advance(1s);
      pool.ready(host.started.back().second);
    }
    pool.release(id, Use::kReusable);
  }
  EXPECT_TRUE(stopped(once));
}

TEST_F(PoolMemoryTest, GivesMemoryInTheOrderItWasAskedFor) {
  add("big", 6);
  add("large", 8);
  add("small", 4);
  LeaseId lease = 0;
  pool.acquire("big", {}, [&](const Answer& answer) { lease = std::get<Lease>(answer).id; });
  pool.ready(1);
  pool.acquire("large", {}, [](const Answer&) {});
  pool.acquire("small", {}, [](const Answer&) {});
  EXPECT_EQ(host.started.size(), 1u) << "small would fit, but large came first";
  EXPECT_FALSE(stopped(1)) << "it is on lease";
  pool.release(lease, Use::kReusable);
  EXPECT_TRUE(stopped(1));
  pool.gone(1, {});
  ASSERT_EQ(host.started.size(), 2u);
  EXPECT_EQ(host.started.back().first, "large");
  pool.ready(2);
}

TEST_F(PoolMemoryTest, LeavesTheQueueWhenNobodyWaitsAnyMore) {
  add("big", 6);
  add("large", 8);
  add("small", 4);
  pool.acquire("big", {}, [](const Answer&) {});
  pool.acquire("large", clock.now() + 1s, [](const Answer&) {});
  pool.acquire("small", {}, [](const Answer&) {});
  EXPECT_EQ(host.started.size(), 1u);
  clock.advance(1s);
  pool.advance();
  EXPECT_EQ(host.started.back().first, "small");
}

}  // namespace
}  // namespace thaw::warmpool
