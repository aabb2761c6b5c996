// What the pool does, case by case: provisioning, pausing, resets, rates, shared limits,
// draining, predictions, several leases of one instance.
#include <gmock/gmock.h>

#include "pool_fixture.h"

namespace thaw::warmpool {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(PoolTest, StartsWhatIsProvisionedBeforeAnybodyAsks) {
  add({.instances_max = 3, .provisioned = 2});
  EXPECT_THAT(host.reasons, ElementsAre(StartFor::kProvisioned, StartFor::kProvisioned));
  pool.ready(1);
  pool.ready(2);
  EXPECT_EQ(now().provisioned, 2u);
  EXPECT_EQ(pool.due(), std::nullopt) << "they are kept for ever";
  ASSERT_TRUE(ask());
  EXPECT_TRUE(lease(0).provisioned);
  EXPECT_TRUE(lease(0).first_use);
  EXPECT_EQ(lease(0).started_for, StartFor::kProvisioned);
}

TEST_F(PoolTest, SpillsOverToInstancesOnDemandAndComesBack) {
  add({.instances_max = 2, .provisioned = 1});
  pool.ready(1);
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  EXPECT_EQ(host.reasons.back(), StartFor::kInvocation);
  pool.ready(2);
  EXPECT_FALSE(lease(1).provisioned);
  release(0);
  release(1);  // used last, yet the provisioned one goes first
  ASSERT_TRUE(ask());
  EXPECT_TRUE(lease(2).provisioned);
}

TEST_F(PoolTest, ReplacesAProvisionedInstanceThatDies) {
  add({.provisioned = 1});
  pool.ready(1);
  pool.gone(1, crash());
  EXPECT_THAT(host.reasons, ElementsAre(StartFor::kProvisioned, StartFor::kProvisioned));
}

TEST_F(PoolTest, RetriesProvisionedStartsThatFailLessAndLessOften) {
  add({.provisioned = 1});
  std::chrono::seconds wait = Pool::kProvisionRetry;
  for (InstanceId id = 1; id <= 10; ++id) {
    ASSERT_EQ(host.started.size(), id);
    pool.gone(id, crash());
    EXPECT_EQ(host.started.size(), id);
    EXPECT_EQ(pool.due(), clock.now() + wait);
    clock.advance(wait - 1ns);
    pool.advance();
    EXPECT_EQ(host.started.size(), id);
    clock.advance(1ns);
    pool.advance();
    wait = std::min(2 * wait, Pool::kProvisionRetryMax);
  }
  pool.ready(11);
  pool.gone(11, crash());
  EXPECT_EQ(host.started.size(), 12u) << "one that was ready is replaced at once";
}

TEST_F(PoolTest, TellsNobodyOfAProvisionedStartThatFailsButStartsForWhoWaits) {
  add({.provisioned = 1});
  ASSERT_TRUE(ask());
  EXPECT_EQ(host.started.size(), 1u);
  pool.gone(1, crash());
  EXPECT_THAT(answers, IsEmpty());
  EXPECT_EQ(host.reasons.back(), StartFor::kInvocation);
  pool.gone(2, crash());
  EXPECT_EQ(reason(0), Reason::kStartFailed);
}

TEST_F(PoolTest, FollowsWhatIsProvisionedWhenItChanges) {
  add({.instances_max = 4});
  ASSERT_TRUE(pool.set_limits("chat", {.instances_max = 4, .provisioned = 3}));
  for (InstanceId id = 1; id <= 3; ++id) pool.ready(id);
  ASSERT_TRUE(ask());
  const InstanceId leased = lease(0).instance_id;
  ASSERT_TRUE(pool.set_limits("chat", {.instances_max = 4}));
  EXPECT_EQ(now().provisioned, 0u);
  EXPECT_EQ(now().stopping, 2u);
  release(0);
  EXPECT_EQ(now().idle, 1u) << "the one on lease goes on, on demand";
  EXPECT_EQ(pool.due(), clock.now() + 10min);
  EXPECT_EQ(host.instances.at(leased)->stops, 0);
}

TEST_F(PoolTest, LetsIdleInstancesGoWhereTheLimitFalls) {
  add({.instances_max = 3});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ask());
  for (InstanceId id = 1; id <= 3; ++id) pool.ready(id);
  release(0);
  ASSERT_TRUE(pool.set_limits("chat", {.instances_max = 1}));
  EXPECT_EQ(now().stopping, 1u);
  EXPECT_FALSE(ask());
  release(1);
  EXPECT_EQ(now().stopping, 2u);
  release(2);
  EXPECT_EQ(now().idle, 1u);
}

TEST_F(PoolTest, PausesWhatIsOnLeaseToNobody) {
  add({.pauses = true});
  ASSERT_TRUE(ask());
  pool.ready(1);
  FakeInstance& instance = *host.instances.at(1);
  EXPECT_EQ(instance.pauses, 0) << "it went straight to who waited";
  release(0);
  EXPECT_TRUE(instance.paused);
  ASSERT_TRUE(ask());
  EXPECT_FALSE(instance.paused);
  release(1);
  EXPECT_EQ(instance.pauses, 2);
}

TEST_F(PoolTest, PausesAProvisionedInstanceOnceItIsReady) {
  add({.provisioned = 1, .pauses = true});
  pool.ready(1);
  EXPECT_TRUE(host.instances.at(1)->paused);
}

TEST_F(PoolTest, LendsWhatMustBeResetAfterWhatIsSound) {
  add({});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  pool.ready(1);
  pool.ready(2);
  release(0);
  release(1, Use::kReset);
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  EXPECT_EQ(lease(2).instance_id, lease(0).instance_id);
  EXPECT_FALSE(lease(2).needs_reset);
  EXPECT_EQ(lease(3).instance_id, lease(1).instance_id);
  EXPECT_TRUE(lease(3).needs_reset);
  release(3);
  ASSERT_TRUE(ask());
  EXPECT_FALSE(lease(4).needs_reset);
}

TEST_F(PoolTest, KeepsConcurrencyThatIsReservedForItsFunction) {
  Pool shared(clock, host, {.concurrency_max = 3});
  ASSERT_TRUE(shared.add_function("mine", {.instances_max = 2, .reserved = true}));
  ASSERT_TRUE(shared.add_function("a", {}));
  ASSERT_TRUE(shared.add_function("b", {}));
  const auto ask_for = [&](const char* function) {
    std::optional<Reason> refused;
    shared.acquire(function, {}, [&](const Answer& answer) {
      if (const auto* refusal = std::get_if<Refusal>(&answer)) refused = refusal->reason;
    });
    return refused;
  };
  EXPECT_EQ(ask_for("a"), std::nullopt);
  EXPECT_EQ(ask_for("b"), Reason::kTotalConcurrency);
  EXPECT_EQ(ask_for("mine"), std::nullopt);
  EXPECT_EQ(ask_for("mine"), std::nullopt);
  EXPECT_EQ(ask_for("mine"), Reason::kFunctionConcurrency);
  // Released from its reserve, what it has under way counts for all.
  ASSERT_TRUE(shared.set_limits("mine", {.instances_max = 2}));
  EXPECT_EQ(ask_for("b"), Reason::kTotalConcurrency);
  ASSERT_TRUE(shared.set_limits("mine", {.instances_max = 1, .reserved = true}));
  EXPECT_EQ(ask_for("b"), std::nullopt);
}

TEST_F(PoolTest, RefusesStartsBeyondTheRateWhereNobodyMayQueue) {
  add({.instances_max = 100, .start_rate = {2, 10s}});
  EXPECT_TRUE(ask());
  EXPECT_TRUE(ask());
  EXPECT_FALSE(ask());
  EXPECT_EQ(reason(2), Reason::kStartRate);
  clock.advance(5s - 1ns);
  EXPECT_FALSE(ask());
  clock.advance(1ns);
  EXPECT_TRUE(ask());
  EXPECT_FALSE(ask());
  pool.ready(1);
  release(0);
  EXPECT_TRUE(ask()) << "a warm one needs no start";
}

TEST_F(PoolTest, WaitsForTheRateOfStartsWhereSomebodyMayQueue) {
  add({.instances_max = 100, .queue_length_max = 1, .start_rate = {1, 10s}});
  EXPECT_TRUE(ask());
  EXPECT_TRUE(ask());
  EXPECT_EQ(host.started.size(), 1u);
  EXPECT_EQ(pool.due(), clock.now() + 10s);
  clock.advance(10s);
  pool.advance();
  EXPECT_EQ(host.started.size(), 2u);
  EXPECT_EQ(pool.due(), std::nullopt);
}

TEST_F(PoolTest, RefusesInvocationsBeyondTheirRate) {
  add({.invocation_rate = {2, 1s}});
  EXPECT_TRUE(ask());
  EXPECT_TRUE(ask());
  EXPECT_FALSE(ask());
  EXPECT_EQ(reason(2), Reason::kFunctionInvocationRate);
  clock.advance(500ms);
  EXPECT_TRUE(ask());
  Pool shared(clock, host, {.invocation_rate = {1, 1s}});
  ASSERT_TRUE(shared.add_function("a", {}));
  ASSERT_TRUE(shared.add_function("b", {}));
  shared.acquire("a", {}, [](const Answer&) {});
  std::optional<Reason> refused;
  shared.acquire("b", {},
                 [&](const Answer& answer) { refused = std::get<Refusal>(answer).reason; });
  EXPECT_EQ(refused, Reason::kTotalInvocationRate);
}

TEST_F(PoolTest, RecyclesWhatIsThereAndServesWithNewOnes) {
  add({});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  pool.ready(1);
  pool.ready(2);
  release(0);
  ASSERT_TRUE(pool.recycle("chat"));
  EXPECT_EQ(host.instances.at(lease(0).instance_id)->stops, 1);
  EXPECT_EQ(host.instances.at(lease(1).instance_id)->stops, 0);
  ASSERT_TRUE(ask());
  EXPECT_EQ(host.started.size(), 3u);
  release(1);
  EXPECT_EQ(host.instances.at(lease(1).instance_id)->stops, 1);
}

TEST_F(PoolTest, DrainsAndReopens) {
  add({.instances_max = 2, .queue_length_max = 1, .provisioned = 1});
  pool.ready(1);
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  pool.ready(2);
  ASSERT_TRUE(ask());
  ASSERT_TRUE(pool.drain("chat"));
  EXPECT_FALSE(ask());
  EXPECT_EQ(reason(3), Reason::kDraining);
  release(0);
  EXPECT_EQ(lease(2).instance_id, lease(0).instance_id) << "who waited is served";
  release(1);
  release(2);
  EXPECT_EQ(now().stopping, 2u);
  pool.gone(1, crash());
  pool.gone(2, crash());
  EXPECT_EQ(now().live() + now().waiting, 0u);
  ASSERT_TRUE(pool.reopen("chat"));
  EXPECT_EQ(host.reasons.back(), StartFor::kProvisioned);
  EXPECT_TRUE(ask());
}

TEST_F(PoolTest, LendsAnInstanceToAsManyAsItTakes) {
  add({.instances_max = 2, .invocations_per_instance = 2});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(ask());
  EXPECT_FALSE(ask());
  EXPECT_EQ(host.started.size(), 2u);
  pool.ready(1);
  EXPECT_EQ(lease(0).instance_id, 1u);
  EXPECT_EQ(lease(1).instance_id, 1u);
  EXPECT_TRUE(lease(0).first_use);
  EXPECT_FALSE(lease(1).first_use);
  pool.ready(2);
  EXPECT_EQ(now().leases, 4u);
  release(2);
  release(0);
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  EXPECT_EQ(lease(5).instance_id, 1u) << "the one that came free last";
  EXPECT_EQ(lease(6).instance_id, 2u);
}

TEST_F(PoolTest, EndsASharedInstanceThatBrokeWithItsLastLease) {
  add({.instances_max = 1, .invocations_per_instance = 2});
  ASSERT_TRUE(ask());
  pool.ready(1);
  ASSERT_TRUE(ask());
  release(0, Use::kBroken);
  ASSERT_TRUE(ask());
  EXPECT_EQ(answers.count(2), 0u) << "it is lent to nobody";
  EXPECT_EQ(host.instances.at(1)->stops, 0);
  release(1);
  EXPECT_EQ(host.instances.at(1)->stops, 1);
}

// Idle for half an hour, again and again: stopped in between, and there again in time.
TEST_F(PoolTest, PrewarmsWhatItHasLearntToExpect) {
  add({.keep_alive = HybridHistogram{}});
  use_once(1);
  InstanceId id = 1;
  for (int i = 0; i < 10; ++i) {
    clock.advance(30min + 5s);
    pool.advance();
    ASSERT_EQ(now().idle, 1u) << "it has learnt nothing yet, and keeps";
    const std::size_t n = asked;
    ASSERT_TRUE(ask());
    release(n);
  }
  EXPECT_EQ(now().stopping, 1u);
  pool.gone(id, crash());
  EXPECT_EQ(pool.due(), clock.now() + 27min);
  clock.advance(27min);
  pool.advance();
  ASSERT_EQ(host.reasons.back(), StartFor::kPrewarm);
  pool.ready(++id);
  EXPECT_EQ(pool.due(), clock.now() - 27min + 34min + 6s);
  clock.advance(3min);
  const std::size_t n = asked;
  ASSERT_TRUE(ask());
  EXPECT_EQ(lease(n).started_for, StartFor::kPrewarm);
}

TEST_F(PoolTest, RefusesLimitsThatContradictEachOther) {
  add({});
  const auto refused = [&](const FunctionLimits& limits) {
    EXPECT_EQ(pool.add_function("b", limits).error().code, Code::kInvalid);
    EXPECT_EQ(pool.set_limits("chat", limits).error().code, Code::kInvalid);
  };
  refused({.invocations_per_instance = 0});
  refused({.instances_max = 1, .provisioned = 2});
  refused({.start_rate = {1, 0s}});
  refused({.invocation_rate = {1, -1s}});
  refused({.keep_alive = FixedTime{-1s}});
  refused({.keep_alive = HybridHistogram{.bin = 0s}});
  refused({.keep_alive = HybridHistogram{.bin_count = 0}});
  refused({.keep_alive = HybridHistogram{.bin = 1h * 24 * 365}});
  refused({.keep_alive = HybridHistogram{.head = 0.9, .tail = 0.1}});
  refused({.keep_alive = HybridHistogram{.margin = -1}});
  refused({.keep_alive = HybridHistogram{.variation_min = -1}});
  EXPECT_EQ(pool.set_limits("chat", {.invocations_per_instance = 2}).error().code, Code::kInvalid);
  Pool small(clock, host, {.concurrency_max = 5, .memory_bytes_max = 10});
  EXPECT_EQ(small.add_function("a", {.instance_bytes = 11}).error().code, Code::kInvalid);
  EXPECT_EQ(small.add_function("a", {.instances_max = 6, .reserved = true}).error().code,
            Code::kInvalid);
  ASSERT_TRUE(small.add_function("a", {.instances_max = 4, .reserved = true}));
  EXPECT_EQ(small.add_function("b", {.instances_max = 2, .reserved = true}).error().code,
            Code::kInvalid);
  EXPECT_TRUE(small.set_limits("a", {.instances_max = 5, .reserved = true}));
}

}  // namespace
}  // namespace thaw::warmpool
