// The real `bootstrap` on a Runtime API: its end, its copies, its concurrency, what it prints.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/str.h"
#include "tests/end_to_end/programs.h"
#include "tests/lambda/platform.h"

namespace thaw::end_to_end {
namespace {

using namespace std::chrono_literals;
using lambda::Platform;
using Json = nlohmann::json;
using SteadyClock = std::chrono::steady_clock;

// A running `bootstrap`; killed at the end of its life.
class Bootstrap {
 public:
  Bootstrap(const Platform& platform, const std::string& snapshot,
            std::vector<std::string> environment = {}) {
    output_ = cat(testing::TempDir(), "thaw-lambda-", getpid(), ".out");
    environment.push_back(cat("AWS_LAMBDA_RUNTIME_API=", platform.authority()));
    environment.push_back(cat("THAW_SNAPSHOT=", snapshot));
    environment.push_back("AWS_LAMBDA_FUNCTION_NAME=poems");
    std::vector<char*> variables;
    for (std::string& variable : environment) variables.push_back(variable.data());
    variables.push_back(nullptr);
    child_ = fork();
    if (child_ != 0) return;
    char* const arguments[] = {const_cast<char*>(THAW_BOOTSTRAP), nullptr};
    const int out = open(output_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execve(arguments[0], arguments, variables.data());
    _exit(127);
  }
  ~Bootstrap() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    unlink(output_.c_str());
  }
  Bootstrap(const Bootstrap&) = delete;
  Bootstrap& operator=(const Bootstrap&) = delete;

  void terminate() const { kill(child_, SIGTERM); }
  // The code that it ends with, or 128 and its signal.
  int wait() {
    int status = 0;
    waitpid(std::exchange(child_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::vector<std::string> lines() const {
    std::ifstream file(output_);
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }

 private:
  std::string output_;
  pid_t child_ = -1;
};

std::string event_of(const std::string& prompt, int tokens) {
  Json event;
  event["prompt"] = prompt;
  event["max_tokens"] = tokens;
  return event.dump();
}

// What is left of an invocation once it is to end: a token of SmolLM2 and its answer's ending.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(THAW_UNDER_QEMU)
constexpr auto kEndingMax = 5s;  // where a token alone takes half a second
#else
constexpr auto kEndingMax = 500ms;
#endif

TEST(OnLambda, EndsAnInvocationInProgressWithinHalfASecondOfSigterm) {
  Platform platform;
  Bootstrap bootstrap(platform, snapshot_of(smollm2()));
  Json event = Json::parse(event_of("Tell me a story that does not end.", 4000));
  event["stop"] = Json::array({"never said \x01"});
  event["stream"] = true;
  platform.give("long", event.dump());
  ASSERT_TRUE(platform.wait_for_begin("long"));
  EXPECT_TRUE(platform.registered()) << "else SIGTERM would never come";
  const auto begin = SteadyClock::now();
  bootstrap.terminate();
  const auto answer = platform.answer("long");
  EXPECT_EQ(bootstrap.wait(), 0);
  EXPECT_LT(SteadyClock::now() - begin, kEndingMax);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->error);
  EXPECT_TRUE(answer->trailers.empty());
  EXPECT_NE(answer->body.find("deadline"), std::string::npos) << answer->body.size();
}

TEST(OnLambda, EndsAtOnceWhileItWaits) {
  Platform platform;
  Bootstrap bootstrap(platform, snapshot_of(tiny_model()));
  ASSERT_TRUE(platform.wait_for_loops(1));
  const auto begin = SteadyClock::now();
  bootstrap.terminate();
  EXPECT_EQ(bootstrap.wait(), 0);
  EXPECT_LT(SteadyClock::now() - begin, 200ms);
}

TEST(OnLambda, GoesWithoutAnExtensionsApi) {
  Platform platform({.extensions = false});
  Bootstrap bootstrap(platform, snapshot_of(tiny_model()));
  EXPECT_TRUE(platform.invoke("id", event_of("ab", 2)));
  EXPECT_FALSE(platform.registered());
  bootstrap.terminate();
  EXPECT_EQ(bootstrap.wait(), 0);
}

TEST(OnLambda, WaitsForItsRestoreBeforeItAsksForAnEvent) {
  Platform platform({.restores = true});
  Bootstrap bootstrap(platform, snapshot_of(tiny_model()),
                      {"AWS_LAMBDA_INITIALIZATION_TYPE=snap-start"});
  EXPECT_FALSE(platform.wait_for_loops(1, 200ms));
  EXPECT_TRUE(platform.asked_for_restore());
  std::this_thread::sleep_for(300ms);  // what a snapshot sleeps is no part of a start
  platform.restore();
  const auto answer = platform.invoke("id", event_of("ab", 2));
  ASSERT_TRUE(answer);
  const Json timings = Json::parse(answer->body)["timings"];
  EXPECT_LT(timings.value("since_start_ms", 0.0), 290) << timings;
}

TEST(OnLambda, AnswersAsManyAtOnceAsItIsAskedToAndEachAsIfAlone) {
  const std::string snapshot = snapshot_of(smollm2());
  std::vector<std::string> alone;
  const auto text_of = [](const std::optional<Platform::Answer>& answer) {
    return answer ? Json::parse(answer->body).value("text", "") : "no answer";
  };
#ifdef THAW_UNDER_QEMU
  constexpr int kTokens = 3;  // a hundred times slower
#else
  constexpr int kTokens = 12;
#endif
  constexpr int kCalls = 6;
  constexpr std::chrono::minutes kPatience{10};  // a sanitizer's on a busy machine
  const auto event = [](int i) { return event_of(cat("Count from ", i, " on."), kTokens); };
  {
    Platform platform({.time = kPatience});
    Bootstrap bootstrap(platform, snapshot);
    for (int i = 0; i < kCalls; ++i) {
      platform.give(cat(i), event(i));
      alone.push_back(text_of(platform.answer(cat(i), kPatience)));
    }
  }
  Platform platform({.time = kPatience});
  Bootstrap bootstrap(platform, snapshot, {"AWS_LAMBDA_MAX_CONCURRENCY=4"});
  ASSERT_TRUE(platform.wait_for_loops(4));
  for (int i = 0; i < kCalls; ++i) platform.give(cat(i), event(i));
  int most = 0;
  for (int i = 0; i < kCalls; ++i) {
    const auto answer = platform.answer(cat(i), kPatience);
    EXPECT_EQ(text_of(answer), alone[static_cast<std::size_t>(i)]) << i;
    most = std::max(most, answer ? answer->loop : 0);
  }
  EXPECT_EQ(most, 4);
  bootstrap.terminate();
  EXPECT_EQ(bootstrap.wait(), 0);
}

TEST(OnLambda, PrintsALineOfMetricsForEachInvocationAndLogsAsItIsAskedTo) {
  Platform platform;
  Bootstrap bootstrap(platform, snapshot_of(tiny_model()),
                      {"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=INFO"});
  EXPECT_TRUE(platform.invoke("first", event_of("secret", 2)));
  EXPECT_TRUE(platform.invoke("second", R"({"promt":"secret"})")->error);
  bootstrap.terminate();
  EXPECT_EQ(bootstrap.wait(), 0);
  std::vector<Json> metrics;
  bool failure_logged = false;
  for (const std::string& line : bootstrap.lines()) {
    EXPECT_EQ(line.find("secret"), std::string::npos);
    const Json json = Json::parse(line, nullptr, false);
    ASSERT_TRUE(json.is_object()) << line;
    if (json.contains("_aws")) {
      metrics.push_back(json);
      continue;
    }
    EXPECT_TRUE(json.contains("timestamp") && json.contains("message")) << line;
    if (json["level"] == "ERROR") failure_logged = json.value("requestId", "") == "second";
  }
  EXPECT_TRUE(failure_logged);
  ASSERT_EQ(metrics.size(), 2u);
  EXPECT_EQ(metrics[0]["FunctionName"], "poems");
  EXPECT_EQ(metrics[0]["ColdStarts"], 1);
  EXPECT_EQ(metrics[0]["CompletionTokens"], 2);
  EXPECT_EQ(metrics[1]["ColdStarts"], 0);
  EXPECT_EQ(metrics[1]["Errors"], 1);
}

TEST(OnLambda, PrintsNoMetricsWhereTheyAreTurnedOff) {
  Platform platform;
  Bootstrap bootstrap(platform, snapshot_of(tiny_model()), {"THAW_METRICS=off", "THAW_LOG=off"});
  EXPECT_TRUE(platform.invoke("first", event_of("ab", 2)));
  bootstrap.terminate();
  EXPECT_EQ(bootstrap.wait(), 0);
  EXPECT_TRUE(bootstrap.lines().empty());
}

TEST(OnLambda, ReportsWhatKeepsItFromStarting) {
  Platform platform;
  Bootstrap bootstrap(platform, "/no/such.thaw");
  EXPECT_EQ(bootstrap.wait(), 1);
  ASSERT_TRUE(platform.init_error());
  EXPECT_NE(platform.init_error()->find("Runtime.NoSuchSnapshot"), std::string::npos);
}

}  // namespace
}  // namespace thaw::end_to_end
