// What the pool does, case by case: leases, limits of a function, keep-alive, ends.
#include <gmock/gmock.h>

#include "pool_fixture.h"

namespace thaw::warmpool {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(PoolTest, StartsAnInstanceForTheFirstInvocationAndLendsItWhenReady) {
  add({});
  ASSERT_TRUE(ask());
  ASSERT_THAT(host.started, ElementsAre(std::pair<std::string, InstanceId>("chat", 1)));
  EXPECT_THAT(answers, IsEmpty());
  pool.ready(1);
  EXPECT_EQ(lease(0).instance_id, 1u);
  EXPECT_EQ(lease(0).instance, host.instances.at(1).get());
  EXPECT_TRUE(lease(0).first_use);
}

TEST_F(PoolTest, LendsAWarmInstanceAgainAtOnce) {
  add({});
  ASSERT_TRUE(ask());
  pool.ready(1);
  release(0);
  ASSERT_TRUE(ask());
  EXPECT_EQ(lease(1).instance_id, 1u);
  EXPECT_FALSE(lease(1).first_use);
  EXPECT_NE(lease(1).id, lease(0).id);
  EXPECT_EQ(host.started.size(), 1u);
}

TEST_F(PoolTest, LendsTheMostRecentlyUsedInstanceFirst) {
  add({});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  pool.ready(1);
  pool.ready(2);
  release(1);
  release(0);
  ASSERT_TRUE(ask());
  EXPECT_EQ(lease(2).instance_id, lease(0).instance_id);
}

TEST_F(PoolTest, GivesWhoWaitsForAStartAnInstanceThatComesFreeSooner) {
  add({});
  ASSERT_TRUE(ask());
  pool.ready(1);
  ASSERT_TRUE(ask());
  EXPECT_EQ(now().starting, 1u);
  release(0);
  EXPECT_EQ(lease(1).instance_id, 1u);
  pool.ready(2);
  EXPECT_EQ(now().idle, 1u);
}

TEST_F(PoolTest, RefusesBeyondTheLimitWhereNobodyMayQueue) {
  add({.instances_max = 2, .queue_length_max = 0});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  ASSERT_FALSE(ask());
  EXPECT_EQ(error(2), Code::kLimit);
  EXPECT_EQ(reason(2), Reason::kFunctionConcurrency);
  EXPECT_EQ(host.started.size(), 2u);
}

TEST_F(PoolTest, QueuesInOrderOfArrivalUpToTheQueueLength) {
  add({.instances_max = 1, .queue_length_max = 2});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  ASSERT_FALSE(ask());
  pool.ready(1);
  release(0);
  EXPECT_EQ(lease(1).instance_id, 1u);
  EXPECT_EQ(answers.count(2), 0u);
  release(1);
  EXPECT_EQ(lease(2).instance_id, 1u);
}

TEST_F(PoolTest, TellsWhoWaitedTooLong) {
  add({.instances_max = 1, .queue_length_max = 1});
  ASSERT_TRUE(ask());
  pool.ready(1);
  ASSERT_TRUE(ask(clock.now() + 5s));
  EXPECT_EQ(pool.due(), clock.now() + 5s);
  clock.advance(4999ms);
  pool.advance();
  EXPECT_EQ(answers.count(1), 0u);
  clock.advance(1ms);
  pool.advance();
  EXPECT_EQ(error(1), Code::kDeadline);
  EXPECT_EQ(pool.due(), std::nullopt);
}

TEST_F(PoolTest, DoesNotCountWhoWaitedTooLongAgainstTheQueue) {
  add({.instances_max = 1, .queue_length_max = 1});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask(clock.now() + 1s));
  clock.advance(1s);
  EXPECT_TRUE(ask());
  EXPECT_EQ(error(1), Code::kDeadline);
}

TEST_F(PoolTest, ForgetsWhoCancels) {
  add({.instances_max = 1, .queue_length_max = 2});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  const Ticket second = ticket;
  ASSERT_TRUE(ask());
  EXPECT_TRUE(pool.cancel(second));
  EXPECT_FALSE(pool.cancel(second));
  pool.ready(1);
  release(0);
  EXPECT_EQ(lease(2).instance_id, 1u);
  EXPECT_EQ(answers.count(1), 0u);
}

TEST_F(PoolTest, StopsAnIdleInstanceAfterItsKeepAlive) {
  add({.keep_alive = FixedTime{60s}});
  ASSERT_TRUE(ask());
  pool.ready(1);
  release(0);
  EXPECT_EQ(pool.due(), clock.now() + 60s);
  clock.advance(60s - 1ns);
  pool.advance();
  EXPECT_EQ(host.instances.at(1)->stops, 0);
  clock.advance(1ns);
  pool.advance();
  EXPECT_EQ(host.instances.at(1)->stops, 1);
  EXPECT_EQ(now().stopping, 1u);
  pool.gone(1, crash());
  EXPECT_THAT(host.retirements, ElementsAre(1));
  EXPECT_EQ(now().live(), 0u);
}

TEST_F(PoolTest, ReplacesAnInstanceThatBrokeOnceItIsGone) {
  add({.instances_max = 1, .queue_length_max = 1});
  ASSERT_TRUE(ask());
  pool.ready(1);
  ASSERT_TRUE(ask());
  release(0, Use::kBroken);
  EXPECT_EQ(host.instances.at(1)->stops, 1);
  EXPECT_EQ(host.started.size(), 1u) << "the broken one still holds its place";
  pool.gone(1, crash());
  EXPECT_EQ(host.started.size(), 2u);
  pool.ready(2);
  EXPECT_EQ(lease(1).instance_id, 2u);
}

TEST_F(PoolTest, KeepsTheLeaseOfAnInstanceThatDiedUnderIt) {
  add({.instances_max = 1});
  ASSERT_TRUE(ask());
  pool.ready(1);
  pool.gone(1, crash());
  EXPECT_EQ(now().leased, 1u);
  EXPECT_THAT(host.retirements, IsEmpty());
  release(0);
  EXPECT_THAT(host.retirements, ElementsAre(1));
  EXPECT_EQ(host.instances.at(1)->stops, 0) << "there is nothing left to stop";
  EXPECT_EQ(now().live(), 0u);
}

TEST_F(PoolTest, TellsTheOneWhoWaitedLongestThatAStartFailed) {
  add({.instances_max = 1, .queue_length_max = 1});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  pool.gone(1, crash());
  EXPECT_EQ(error(0), Code::kIo);
  EXPECT_EQ(reason(0), Reason::kStartFailed);
  EXPECT_EQ(host.started.size(), 2u) << "the second invocation deserves its own attempt";
  pool.gone(2, crash());
  EXPECT_EQ(error(1), Code::kIo);
  EXPECT_EQ(host.started.size(), 2u) << "nobody is left to start for";
}

TEST_F(PoolTest, TellsNobodyOfAFailedStartThatNobodyNeeds) {
  add({.instances_max = 2});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  EXPECT_TRUE(pool.cancel(ticket));
  pool.gone(2, crash());
  EXPECT_THAT(answers, IsEmpty());
  pool.ready(1);
  EXPECT_EQ(lease(0).instance_id, 1u);
}

TEST_F(PoolTest, ForgetsAnIdleInstanceThatDies) {
  add({});
  ASSERT_TRUE(ask());
  pool.ready(1);
  release(0);
  pool.gone(1, crash());
  ASSERT_TRUE(ask());
  EXPECT_EQ(host.started.size(), 2u);
  EXPECT_EQ(answers.count(1), 0u);
}

TEST_F(PoolTest, ShutsDownInOrder) {
  add({.instances_max = 3, .queue_length_max = 1});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(ask());
  pool.ready(1);
  pool.ready(2);
  release(1);  // the third invocation gets it
  pool.shut_down();
  EXPECT_EQ(error(3), Code::kCancelled);
  EXPECT_EQ(host.instances.at(1)->stops, 0);
  EXPECT_EQ(host.instances.at(3)->stops, 1) << "it was starting for the one that was refused";
  EXPECT_FALSE(ask());
  EXPECT_EQ(reason(4), Reason::kShutDown);
  EXPECT_EQ(error(4), Code::kUnavailable);
  pool.ready(3);  // it had not heard yet
  release(0);
  EXPECT_EQ(host.instances.at(1)->stops, 1);
  release(2);
  for (const InstanceId id : {1, 2, 3}) pool.gone(id, crash());
  EXPECT_EQ(pool.instance_count(), 0u);
}

TEST_F(PoolTest, NamesWhatItDoesNotKnow) {
  add({});
  EXPECT_FALSE(ask({}, "other"));
  EXPECT_EQ(reason(0), Reason::kUnknownFunction);
  EXPECT_EQ(error(0), Code::kNotFound);
  EXPECT_EQ(pool.occupancy("other").error().code, Code::kNotFound);
  EXPECT_EQ(pool.set_limits("other", {}).error().code, Code::kNotFound);
  EXPECT_EQ(pool.recycle("other").error().code, Code::kNotFound);
  EXPECT_EQ(pool.drain("other").error().code, Code::kNotFound);
  EXPECT_EQ(pool.reopen("other").error().code, Code::kNotFound);
  EXPECT_EQ(pool.add_function("chat", {}).error().code, Code::kInvalid);
}

TEST_F(PoolTest, KeepsFunctionsApart) {
  add({.instances_max = 1});
  ASSERT_TRUE(pool.add_function("code", {.instances_max = 1}));
  ASSERT_TRUE(ask());
  EXPECT_TRUE(ask({}, "code"));
  ASSERT_EQ(host.started.size(), 2u);
  EXPECT_EQ(host.started[1].first, "code");
}

}  // namespace
}  // namespace thaw::warmpool
