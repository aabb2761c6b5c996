// Reserved concurrency under many callers at once: who is refused, and that nobody's answer is
// lost.
#include <atomic>
#include <set>
#include <vector>

#include "emulator_fixture.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kPutConcurrency = "/2017-10-31/functions/chat/concurrency";

class ThrottleTest : public EmulatorTest {
 protected:
  ThrottleTest() : gate_(options.state_directory + "/gate") {}
  std::string await(int i) const { return Json{{"do", "await"}, {"file", gate_}, {"i", i}}.dump(); }
  // Whether the log says `text` so many times soon.
  bool logged_times(std::string_view text, std::size_t times) {
    for (int tries = 0; tries < 2000; ++tries) {
      const std::string all = log();
      std::size_t found = 0;
      for (std::size_t at = 0; (at = all.find(text, at)) != all.npos; ++at) ++found;
      if (found >= times) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }
  std::string gate_;
};

TEST_F(ThrottleTest, LetsTwoOfFiftyInAndRefusesTheOthersByName) {
  function.reserved_concurrency = 2;
  start();
  std::atomic<int> answered{0}, refused{0};
  std::vector<std::thread> callers;
  const auto call = [&](int i) {
    const auto answer = invoke(await(i));
    if (answer.status == 200) {
      EXPECT_EQ(Json::parse(answer.body)["event"]["i"], i) << "another caller's answer";
      ++answered;
      return;
    }
    expect_aws_error(answer, 429, "TooManyRequestsException");
    EXPECT_EQ(Json::parse(answer.body)["Reason"],
              "ReservedFunctionConcurrentInvocationLimitExceeded");
    EXPECT_EQ(answer.headers.get("Retry-After"), "1");
    ++refused;
  };
  for (int i = 0; i < 50; ++i) callers.emplace_back(call, i);
  // The two hold until the gate opens, which it does once all others have heard.
  for (int tries = 0; refused < 48 && tries < 4000; ++tries) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(refused, 48);
  EXPECT_TRUE(logged_times("doing await", 2));
  std::ofstream(gate_) << "open";
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(answered, 2);
  EXPECT_EQ(refused, 48);
  EXPECT_LE(emulator->instance_count(), 2u);
}

TEST_F(ThrottleTest, AnswersEveryoneOfFiftyWhoTryAgain) {
  function.reserved_concurrency = 2;
  start();
  std::mutex seen_mutex;
  std::multiset<int> seen;
  std::vector<std::thread> callers;
  for (int i = 0; i < 50; ++i) {
    callers.emplace_back([&, i] {
      const auto caller = client();
      const std::string event = Json{{"do", "echo"}, {"i", i}, {"wait_ms", 2}}.dump();
      for (int tries = 0; tries < 5000; ++tries) {
        const auto answer = send(*caller, "POST", kInvoke, event);
        if (answer.status == 429) {
          std::this_thread::sleep_for(1ms * (1 + i % 7));
          continue;
        }
        ASSERT_EQ(answer.status, 200) << answer.body;
        const std::lock_guard lock(seen_mutex);
        seen.insert(Json::parse(answer.body)["event"]["i"].get<int>());
        return;
      }
      ADD_FAILURE() << "caller " << i << " was never answered";
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(seen.size(), 50u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(seen.count(i), 1u) << i;
  EXPECT_LE(emulator->instance_count(), 2u);
}

TEST_F(ThrottleTest, FollowsWhatIsReservedWhileItRuns) {
  start();
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&, i] { EXPECT_EQ(invoke(await(i)).status, 200); });
  }
  EXPECT_TRUE(logged_times("doing await", 3));
  const auto put = [&](int reserved) {
    const Json body = {{"ReservedConcurrentExecutions", reserved}};
    EXPECT_EQ(send(*client(), "PUT", kPutConcurrency, body.dump()).status, 200);
  };
  EXPECT_EQ(invoke("{}").status, 200);
  put(1);
  expect_aws_error(invoke("{}"), 429, "TooManyRequestsException");
  std::ofstream(gate_) << "open";
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(invoke("{}").status, 200) << "those that ran beyond it go on, and end";
  put(0);
  expect_aws_error(invoke("{}"), 429, "TooManyRequestsException");
  EXPECT_EQ(send(*client(), "DELETE", kPutConcurrency, "").status, 204);
  EXPECT_EQ(invoke("{}").status, 200);
}

TEST_F(ThrottleTest, NamesTheLimitOfAllFunctions) {
  options.concurrency_max = 1;
  start();
  std::thread caller([&] { EXPECT_EQ(invoke(await(0)).status, 200); });
  EXPECT_TRUE(logged_times("doing await", 1));
  const auto answer = invoke("{}");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(Json::parse(answer.body)["Reason"], "ConcurrentInvocationLimitExceeded");
  std::ofstream(gate_) << "open";
  caller.join();
}

}  // namespace
}  // namespace thaw::emulator
