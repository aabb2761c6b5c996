// A pool of one function, "chat", on a clock that stands still, with a host that notes what it is
// told.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "warmpool/pool.h"

namespace thaw::warmpool {

struct FakeInstance final : Instance {
  void stop() override { ++stops; }
  void pause() override {
    EXPECT_FALSE(std::exchange(paused, true));
    ++pauses;
  }
  void resume() override { EXPECT_TRUE(std::exchange(paused, false)); }
  int stops = 0, pauses = 0;
  bool paused = false;
};

struct FakeHost final : Host {
  Instance& start(std::string_view function, InstanceId id, StartFor why) override {
    reasons.push_back(why);
    started.emplace_back(function, id);
    return *instances.emplace(id, std::make_unique<FakeInstance>()).first->second;
  }
  void retired(InstanceId id) override { retirements.push_back(id); }

  std::vector<std::pair<std::string, InstanceId>> started;
  std::vector<InstanceId> retirements;
  std::vector<StartFor> reasons;
  std::map<InstanceId, std::unique_ptr<FakeInstance>> instances;
};

class PoolTest : public testing::Test {
 protected:
  void add(FunctionLimits limits) { ASSERT_TRUE(pool.add_function("chat", limits)); }

  // Asks for an instance; the answer arrives in answers[n], n counting from 0. Whether it was
  // accepted.
  bool ask(std::optional<Clock::Monotonic> deadline = {}, const char* function = "chat") {
    const std::size_t n = asked++;
    ticket = pool.acquire(function, deadline, [this, n](Answer answer) {
      EXPECT_TRUE(answers.emplace(n, std::move(answer)).second) << "answered twice: " << n;
    });
    const auto at = answers.find(n);
    return at == answers.end() || std::holds_alternative<Lease>(at->second);
  }
  Lease lease(std::size_t n) {
    const auto at = answers.find(n);
    if (at == answers.end() || !std::holds_alternative<Lease>(at->second)) {
      ADD_FAILURE() << "no lease for " << n;
      return {};
    }
    return std::get<Lease>(at->second);
  }
  Refusal refusal(std::size_t n) {
    const auto at = answers.find(n);
    if (at == answers.end() || !std::holds_alternative<Refusal>(at->second)) {
      ADD_FAILURE() << "no refusal for " << n;
      return {};
    }
    return std::get<Refusal>(at->second);
  }
  Code error(std::size_t n) { return refusal(n).error.code; }
  Reason reason(std::size_t n) { return refusal(n).reason; }
  void release(std::size_t n, Use use = Use::kReusable) { pool.release(lease(n).id, use); }
  // Through a whole use, so that instance `id` is idle.
  void use_once(InstanceId id) {
    const std::size_t n = asked;
    EXPECT_TRUE(ask());
    pool.ready(id);
    release(n);
  }
  Occupancy now() { return *pool.occupancy("chat"); }
  Error crash() { return fail(Code::kIo, "it crashed"); }

  ManualClock clock;
  FakeHost host;
  Pool pool{clock, host};
  std::size_t asked = 0;
  std::map<std::size_t, Answer> answers;
  Ticket ticket = 0;  // of the last ask()
};

}  // namespace thaw::warmpool
