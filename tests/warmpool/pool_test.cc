// What the pool does, case by case, on a clock that stands still.
#include "warmpool/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <utility>

namespace thaw::warmpool {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

struct FakeInstance final : Instance {
  void stop() override { ++stops; }
  int stops = 0;
};

struct FakeHost final : Host {
  Instance& start(std::string_view function, InstanceId id) override {
    started.emplace_back(function, id);
    return *instances.emplace(id, std::make_unique<FakeInstance>()).first->second;
  }
  void retired(InstanceId id) override { retirements.push_back(id); }

  std::vector<std::pair<std::string, InstanceId>> started;
  std::vector<InstanceId> retirements;
  std::map<InstanceId, std::unique_ptr<FakeInstance>> instances;
};

class PoolTest : public testing::Test {
 protected:
  void add(FunctionLimits limits) { ASSERT_TRUE(pool.add_function("chat", limits)); }

  // Asks for an instance; the answer arrives in answers[n], n counting from 0.
  Result<Ticket> ask(std::optional<Clock::Monotonic> deadline = {}) {
    const std::size_t n = asked++;
    return pool.acquire("chat", deadline, [this, n](Result<Lease> answer) {
      EXPECT_TRUE(answers.emplace(n, std::move(answer)).second) << "answered twice: " << n;
    });
  }
  Lease lease(std::size_t n) {
    const auto at = answers.find(n);
    if (at == answers.end() || !at->second) {
      ADD_FAILURE() << "no lease for " << n;
      return {};
    }
    return *at->second;
  }
  Code error(std::size_t n) {
    const auto at = answers.find(n);
    if (at == answers.end() || at->second) {
      ADD_FAILURE() << "no error for " << n;
      return Code::kCorrupt;
    }
    return at->second.error().code;
  }
  Occupancy now() { return *pool.occupancy("chat"); }
  Error crash() { return fail(Code::kIo, "it crashed"); }

  ManualClock clock;
  FakeHost host;
  Pool pool{clock, host};
  std::size_t asked = 0;
  std::map<std::size_t, Result<Lease>> answers;
};

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
  pool.release(lease(0).id, true);
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
  pool.release(lease(1).id, true);
  pool.release(lease(0).id, true);
  ASSERT_TRUE(ask());
  EXPECT_EQ(lease(2).instance_id, lease(0).instance_id);
}

TEST_F(PoolTest, GivesWhoWaitsForAStartAnInstanceThatComesFreeSooner) {
  add({});
  ASSERT_TRUE(ask());
  pool.ready(1);
  ASSERT_TRUE(ask());
  EXPECT_EQ(now().starting, 1u);
  pool.release(lease(0).id, true);
  EXPECT_EQ(lease(1).instance_id, 1u);
  pool.ready(2);
  EXPECT_EQ(now().idle, 1u);
}

TEST_F(PoolTest, RefusesBeyondTheLimitWhereNobodyMayQueue) {
  add({.instances_max = 2, .queue_length_max = 0});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  const auto third = ask();
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Code::kLimit);
  EXPECT_EQ(host.started.size(), 2u);
}

TEST_F(PoolTest, QueuesInOrderOfArrivalUpToTheQueueLength) {
  add({.instances_max = 1, .queue_length_max = 2});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  ASSERT_TRUE(ask());
  ASSERT_FALSE(ask());
  pool.ready(1);
  pool.release(lease(0).id, true);
  EXPECT_EQ(lease(1).instance_id, 1u);
  EXPECT_EQ(answers.count(2), 0u);
  pool.release(lease(1).id, true);
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
  const auto second = ask();
  ASSERT_TRUE(ask());
  EXPECT_TRUE(pool.cancel(*second));
  EXPECT_FALSE(pool.cancel(*second));
  pool.ready(1);
  pool.release(lease(0).id, true);
  EXPECT_EQ(lease(2).instance_id, 1u);
  EXPECT_EQ(answers.count(1), 0u);
}

TEST_F(PoolTest, StopsAnIdleInstanceAfterItsKeepAlive) {
  add({.keep_alive = 60s});
  ASSERT_TRUE(ask());
  pool.ready(1);
  pool.release(lease(0).id, true);
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
  pool.release(lease(0).id, false);
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
  pool.release(lease(0).id, true);
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
  EXPECT_EQ(host.started.size(), 2u) << "the second invocation deserves its own attempt";
  pool.gone(2, crash());
  EXPECT_EQ(error(1), Code::kIo);
  EXPECT_EQ(host.started.size(), 2u) << "nobody is left to start for";
}

TEST_F(PoolTest, TellsNobodyOfAFailedStartThatNobodyNeeds) {
  add({.instances_max = 2});
  ASSERT_TRUE(ask());
  const auto second = ask();
  EXPECT_TRUE(pool.cancel(*second));
  pool.gone(2, crash());
  EXPECT_THAT(answers, IsEmpty());
  pool.ready(1);
  EXPECT_EQ(lease(0).instance_id, 1u);
}

TEST_F(PoolTest, ForgetsAnIdleInstanceThatDies) {
  add({});
  ASSERT_TRUE(ask());
  pool.ready(1);
  pool.release(lease(0).id, true);
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
  pool.release(lease(1).id, true);  // the third invocation gets it
  pool.shut_down();
  EXPECT_EQ(error(3), Code::kCancelled);
  EXPECT_EQ(host.instances.at(1)->stops, 0);
  EXPECT_EQ(host.instances.at(3)->stops, 1) << "it was starting for the one that was refused";
  EXPECT_EQ(ask().error().code, Code::kUnavailable);
  pool.ready(3);  // it had not heard yet
  pool.release(lease(0).id, true);
  EXPECT_EQ(host.instances.at(1)->stops, 1);
  pool.release(lease(2).id, true);
  for (const InstanceId id : {1, 2, 3}) pool.gone(id, crash());
  EXPECT_EQ(pool.instance_count(), 0u);
}

TEST_F(PoolTest, NamesWhatItDoesNotKnow) {
  add({});
  EXPECT_EQ(pool.acquire("other", {}, [](Result<Lease>) {}).error().code, Code::kNotFound);
  EXPECT_EQ(pool.occupancy("other").error().code, Code::kNotFound);
  EXPECT_EQ(pool.add_function("chat", {}).error().code, Code::kInvalid);
  EXPECT_EQ(pool.add_function("none", {.instances_max = 0}).error().code, Code::kInvalid);
}

TEST_F(PoolTest, KeepsFunctionsApart) {
  add({.instances_max = 1});
  ASSERT_TRUE(pool.add_function("code", {.instances_max = 1}));
  ASSERT_TRUE(ask());
  EXPECT_TRUE(pool.acquire("code", {}, [](Result<Lease>) {}));
  ASSERT_EQ(host.started.size(), 2u);
  EXPECT_EQ(host.started[1].first, "code");
}

}  // namespace
}  // namespace thaw::warmpool
