// What happens to instances between, before and after invocations, as Lambda does it.
#include <signal.h>
#include <unistd.h>

#include <regex>
#include <set>
#include <sstream>
#include <vector>

#include "emulator_fixture.h"
#include "runtime/emulator/fleet.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class LifecycleTest : public EmulatorTest {
 protected:
  std::int64_t ticks() { return std::stoll(invoke(R"({"do":"ticks"})").body); }
  std::int64_t pid() { return Json::parse(invoke("{}").body)["pid"].get<std::int64_t>(); }
  bool has_variable(std::string_view entry) {
    for (const Json& one : Json::parse(invoke(R"({"do":"environment"})").body)) {
      if (one == entry) return true;
    }
    return false;
  }
  std::vector<Json> json_lines() {
    std::vector<Json> lines;
    std::istringstream all(log());
    for (std::string line; std::getline(all, line);) {
      line.erase(0, std::string_view("[chat] ").size());
      if (line.starts_with('{')) lines.push_back(Json::parse(line));
    }
    return lines;
  }
};

TEST_F(LifecycleTest, FreezesAnInstanceBetweenInvocations) {
  function.environment = {"FAKE_INIT=ticks"};
  start();
  const std::int64_t before = ticks();
  std::this_thread::sleep_for(400ms);
  EXPECT_LT(ticks() - before, 200) << "its threads ran on";
}

TEST_F(LifecycleTest, LetsInstancesRunOnWhereAskedTo) {
  options.freezes = false;
  function.environment = {"FAKE_INIT=ticks"};
  start();
  const std::int64_t before = ticks();
  const auto until = std::chrono::steady_clock::now() + 10s;
  std::int64_t after = before;
  while (after - before < 300 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(100ms);
    after = ticks();
  }
  EXPECT_GE(after - before, 300);
}

TEST_F(LifecycleTest, StopsAFrozenInstance) {
  function.pool.keep_alive = warmpool::FixedTime{100ms};
  start();
  const auto frozen = static_cast<pid_t>(pid());
  const auto until = std::chrono::steady_clock::now() + 5s;
  while (emulator->instance_count() > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(::kill(frozen, 0), -1);
}

TEST_F(LifecycleTest, StartsOnceMoreInTheInvocationsTimeWhereAStartFailed) {
  const std::string marker = testing::TempDir() + "thaw_marker_" + std::to_string(::getpid());
  std::remove(marker.c_str());
  function.environment = {"FAKE_INIT=second time", "FAKE_MARKER=" + marker};
  start();
  EXPECT_EQ(invoke("{}").status, 200);
  EXPECT_THAT(log(), testing::ContainsRegex("INIT_REPORT Init Duration: [0-9.]+ ms\tPhase: init\t"
                                            "Status: error\tError Type: Runtime.ExitError"));
  EXPECT_THAT(log(), testing::ContainsRegex("INIT_REPORT Init Duration: [0-9.]+ ms\tPhase: "
                                            "invoke\n"));
  EXPECT_THAT(log(), Not(HasSubstr("\tInit Duration")));
}

TEST_F(LifecycleTest, TellsOfAnInvocationThatNeverBegan) {
  function.environment = {"FAKE_INIT=exit"};
  start();
  const auto answer = invoke("{}", {{"X-Amz-Log-Type", "Tail"}});
  const std::string id(*answer.headers.get("x-amzn-RequestId"));
  EXPECT_EQ(failure(answer)["errorType"], "Runtime.ExitError");
  EXPECT_THAT(log(), HasSubstr("Phase: invoke\tStatus: error"));
  EXPECT_THAT(log(), HasSubstr("START RequestId: " + id));
  EXPECT_THAT(log(), HasSubstr("RequestId: " + id +
                               " Error: Runtime exited with error: exit "
                               "status 3\nRuntime.ExitError\n"));
  EXPECT_THAT(log(), testing::ContainsRegex("REPORT RequestId: " + id +
                                            "\t.*\tStatus: error\tError Type: Runtime.ExitError"));
}

TEST_F(LifecycleTest, KillsWhatTakesMoreMemoryThanItHas) {
  function.memory_mb = 128;
  start();
  const Json document = failure(invoke(R"({"do":"allocate","mb":400,"then_ms":5000})"));
  EXPECT_EQ(document["errorType"], "Runtime.ExitError");
  EXPECT_THAT(document.value("errorMessage", ""), HasSubstr("signal: killed"));
  EXPECT_THAT(log(), HasSubstr("Max Memory Used: 128 MB"));
  EXPECT_THAT(log(), HasSubstr("Status: error\tError Type: Runtime.OutOfMemory"));
  EXPECT_EQ(invoke(R"({"do":"allocate","mb":40})").body, "{}") << "the next one has room";
}

TEST_F(LifecycleTest, CountsTheMemoryOfTheFunctionsChildren) {
  function.memory_mb = 128;
  start();
  const Json document = failure(invoke(R"({"do":"allocate in a child","mb":400})"));
  EXPECT_THAT(document.value("errorMessage", ""), HasSubstr("signal: killed"));
  EXPECT_THAT(log(), HasSubstr("Runtime.OutOfMemory"));
}

TEST_F(LifecycleTest, ReportsTheMostMemoryThatItHad) {
  function.memory_mb = 1024;
  start();
  invoke(R"({"do":"allocate","mb":200,"then_ms":100})");
  std::smatch match;
  const std::string text = log();
  ASSERT_TRUE(std::regex_search(text, match, std::regex("Max Memory Used: ([0-9]+) MB")));
  EXPECT_GE(std::stoi(match[1]), 200);
  EXPECT_LT(std::stoi(match[1]), 300);
}

TEST_F(LifecycleTest, KeepsProvisionedInstancesStartedAhead) {
  function.pool.provisioned = 1;
  start();
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (log().find("INIT_REPORT") == std::string::npos &&
         std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(emulator->instance_count(), 1u);
  EXPECT_TRUE(has_variable("AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency"));
  EXPECT_THAT(log(), Not(HasSubstr("\tInit Duration"))) << "its start is nobody's";
  EXPECT_EQ(emulator->ledger().totals().at("chat").cold, 0u);
}

TEST_F(LifecycleTest, StartsNoMoreThanTheScalingRateAllows) {
  function.pool.start_rate = {1, 60s};
  start();
  std::thread busy([&] { EXPECT_EQ(invoke(R"({"do":"echo","wait_ms":500})").status, 200); });
  EXPECT_TRUE(logged("doing echo"));
  expect_aws_error(invoke("{}"), 429, "TooManyRequestsException");
  busy.join();
  EXPECT_EQ(invoke("{}").status, 200) << "the one there is serves on";
}

TEST_F(LifecycleTest, RestoresFromASnapshotOfMemory) {
  function.snap_start = true;
  start();
  EXPECT_TRUE(has_variable("AWS_LAMBDA_INITIALIZATION_TYPE=snap-start"));
  EXPECT_THAT(log(),
              testing::ContainsRegex("INIT_REPORT Init Duration: [0-9.]+ ms\tPhase: init\n"));
  EXPECT_THAT(log(), testing::ContainsRegex("RESTORE_REPORT Restore Duration: [0-9.]+ ms\n"));
  EXPECT_THAT(log(), testing::ContainsRegex("REPORT RequestId: .*\tRestore Duration: [0-9.]+ ms"));
  EXPECT_THAT(log(), Not(HasSubstr("\tInit Duration")));
}

TEST_F(LifecycleTest, ShowsARestoreThatFails) {
  function.snap_start = true;
  function.environment = {"FAKE_RESTORE=error"};
  start();
  EXPECT_EQ(failure(invoke("{}"))["errorType"], "Runtime.AfterRestoreError");
}

TEST_F(LifecycleTest, GivesOneInstanceSeveralInvocationsAtOnce) {
  function.pool.invocations_per_instance = 4;
  start();
  std::mutex pids_mutex;
  std::set<std::int64_t> pids;
  std::vector<std::thread> callers;
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      const auto answer = invoke(R"({"do":"echo","wait_ms":1000})");
      const std::lock_guard lock(pids_mutex);
      pids.insert(Json::parse(answer.body)["pid"].get<std::int64_t>());
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 3s) << "one after the other";
  EXPECT_EQ(pids.size(), 1u);
  EXPECT_EQ(emulator->instance_count(), 1u);
}

TEST_F(LifecycleTest, EndsNobodyElseWhereOneOfSeveralRunsOutOfTime) {
  function.pool.invocations_per_instance = 2;
  function.timeout = 600ms;
  start();
  const std::int64_t first = pid();
  std::thread slow([&] {
    EXPECT_EQ(failure(invoke(R"({"do":"echo","wait_ms":1200})"))["errorType"], "Sandbox.Timedout");
  });
  EXPECT_TRUE(logged("doing echo"));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(pid(), first);
    std::this_thread::sleep_for(100ms);
  }
  slow.join();
  EXPECT_EQ(pid(), first) << "and it goes on";
}

TEST_F(LifecycleTest, StartsEveryInvocationColdWhereAskedTo) {
  options.always_cold = true;
  options.drop_cache = true;
  start();
  std::set<std::int64_t> pids;
  for (int i = 0; i < 3; ++i) pids.insert(pid());
  EXPECT_EQ(pids.size(), 3u);
  EXPECT_EQ(emulator->ledger().totals().at("chat").cold, 3u);
}

TEST_F(LifecycleTest, WritesItsLogAsJson) {
  options.log_format = LogFormat::kJson;
  function.timeout = 500ms;
  start();
  EXPECT_TRUE(has_variable("AWS_LAMBDA_LOG_FORMAT=JSON"));
  failure(invoke(R"({"do":"hang"})"));
  std::vector<std::string> types;
  for (const Json& line : json_lines()) types.push_back(line["type"]);
  EXPECT_EQ(types, (std::vector<std::string>{"platform.start", "platform.report", "platform.start",
                                             "platform.runtimeDone", "platform.report"}));
  EXPECT_EQ(json_lines().back()["record"]["status"], "timeout");
  EXPECT_GT(json_lines()[1]["record"]["metrics"]["initDurationMs"], 0);
}

TEST_F(LifecycleTest, IsRenewedHeldAndKilledByHand) {
  start();
  const std::int64_t first = pid();
  emulator->fleet().renew("chat");
  const std::int64_t second = pid();
  EXPECT_NE(first, second);
  emulator->fleet().kill("chat");
  const auto until = std::chrono::steady_clock::now() + 5s;
  while (emulator->instance_count() > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_NE(pid(), second);
  std::thread held([&] { EXPECT_EQ(invoke(R"({"do":"echo","wait_ms":300})").status, 200); });
  const auto runs = [&] {
    const auto state = emulator->fleet().overview().at(0);
    return !state.instances.empty() && state.instances.back().state == "running";
  };
  while (!runs() && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(1ms);
  emulator->fleet().hold("chat");
  EXPECT_EQ(emulator->fleet().overview().at(0).instances.back().state, "held");
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(emulator->fleet().overview().at(0).now.leased, 1u) << "it ran on";
  emulator->fleet().hold("chat");
  held.join();
  emulator->fleet().renew("nobody");
  emulator->fleet().hold("nobody");
  emulator->fleet().kill("nobody");
}

}  // namespace
}  // namespace thaw::emulator
