// Asynchronous invocations: retries, ages, destinations, and what a full disk does.
#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/faulty_files.h"
#include "emulator_fixture.h"
#include "runtime/emulator/event_log.h"
#include "runtime/http/server.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;

class AsyncTest : public EmulatorTest {
 protected:
  std::string path(const std::string& name) const { return options.state_directory + "/" + name; }
  Json mark(const std::string& name, int fail_times = 0) const {
    return {{"do", "mark"}, {"file", path("marks")}, {"name", name}, {"fail_times", fail_times}};
  }
  http::Response event(const Json& event, std::string_view target = kInvoke) {
    return post(target, event.dump(), {{"X-Amz-Invocation-Type", "Event"}});
  }
  std::vector<std::string> lines(const std::string& name) const {
    std::vector<std::string> all;
    std::ifstream file(path(name));
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }
  // The file's lines once there are so many, or soon.
  std::vector<std::string> wait_for_lines(const std::string& name, std::size_t count) const {
    for (int tries = 0; tries < 2000 && lines(name).size() < count; ++tries) {
      std::this_thread::sleep_for(5ms);
    }
    return lines(name);
  }
};

TEST_F(AsyncTest, TriesAgainTwiceAndTellsTheDestinationOfSuccess) {
  function.asynchronous.on_success = "file:ends/good.jsonl";
  start();
  ASSERT_EQ(event(mark("a", 2)).status, 202);
  const auto ends = wait_for_lines("ends/good.jsonl", 1);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(lines("marks").size(), 3u);
  const Json document = Json::parse(ends[0]);
  EXPECT_EQ(document["requestContext"]["condition"], "Success");
  EXPECT_EQ(document["requestContext"]["approximateInvokeCount"], 3);
  EXPECT_EQ(document["requestPayload"], mark("a", 2));
  EXPECT_EQ(document["responsePayload"]["event"]["name"], "a");
  EXPECT_EQ(document["responsePayload"]["id"], document["requestContext"]["requestId"])
      << "every attempt has the request's id";
}

TEST_F(AsyncTest, GivesUpAfterItsRetriesAndTellsWhoIsToHear) {
  function.asynchronous.retries_max = 1;
  function.asynchronous.on_failure = "arn:aws:sqs:us-east-1:123456789012:failures";
  function.dead_letter = "file:dead.jsonl";
  start();
  ASSERT_EQ(event(mark("a", 99)).status, 202);
  const auto dead = wait_for_lines("dead.jsonl", 1);
  ASSERT_EQ(dead.size(), 1u);
  EXPECT_EQ(lines("marks").size(), 2u);
  EXPECT_EQ(Json::parse(Json::parse(dead[0])["body"].get<std::string>()), mark("a", 99));
  const auto failures = lines("destinations/sqs-failures.jsonl");
  ASSERT_EQ(failures.size(), 1u);
  const Json document = Json::parse(failures[0]);
  EXPECT_EQ(document["requestContext"]["condition"], "RetriesExhausted");
  EXPECT_EQ(document["requestContext"]["approximateInvokeCount"], 2);
  EXPECT_EQ(document["responseContext"]["functionError"], "Unhandled");
  EXPECT_EQ(document["responsePayload"]["errorType"], "Function.Refused");
  EXPECT_TRUE(logged("RetriesExhausted after 2 attempts"));
}

TEST_F(AsyncTest, CallsAnotherFunctionAndAUrl) {
  std::mutex heard_mutex;
  std::vector<std::string> heard;
  http::ServerOptions server_options;
  auto server = http::Server::start(server_options,
                                    [&](http::Request& request, http::ResponseWriter& writer) {
                                      const auto body = request.read_all();
                                      const std::lock_guard lock(heard_mutex);
                                      heard.push_back(std::string(request.path()) + " " + *body);
                                      (void)writer.send(heard.size() == 1 ? 500 : 200, {}, "");
                                    });
  ASSERT_TRUE(server);
  FunctionOptions next = function;
  next.name = "next";
  next.asynchronous.on_success = "http://" + (*server)->authority() + "/hook?x=1";
  options.functions.push_back(next);
  function.asynchronous.on_success = "arn:aws:lambda:us-east-1:123456789012:function:next";
  start();
  ASSERT_EQ(event({{"do", "echo"}, {"n", 1}}).status, 202);
  const auto count = [&] {
    const std::lock_guard lock(heard_mutex);
    return heard.size();
  };
  for (int tries = 0; tries < 2000 && count() < 2; ++tries) std::this_thread::sleep_for(5ms);
  ASSERT_EQ(count(), 2u) << "tried again after the 500";
  ASSERT_TRUE(heard[1].starts_with("/hook "));
  const Json document = Json::parse(heard[1].substr(6));
  EXPECT_EQ(document["requestPayload"]["requestPayload"]["n"], 1) << "a record of a record";
}

TEST_F(AsyncTest, WaitsWhileItIsThrottledAndDropsNothing) {
  function.reserved_concurrency = 1;
  start();
  for (int i = 0; i < 20; ++i) {
    Json one = mark(std::to_string(i));
    one["wait_ms"] = 10;
    ASSERT_EQ(event(one).status, 202);
  }
  auto marks = wait_for_lines("marks", 20);
  std::sort(marks.begin(), marks.end());
  EXPECT_EQ(std::unique(marks.begin(), marks.end()) - marks.begin(), 20);
  EXPECT_EQ(marks.size(), 20u);
}

TEST_F(AsyncTest, SendsWhatMayNotRunStraightToTheEnd) {
  function.reserved_concurrency = 0;
  function.dead_letter = "file:dead.jsonl";
  start();
  ASSERT_EQ(event(mark("a")).status, 202);
  EXPECT_EQ(wait_for_lines("dead.jsonl", 1).size(), 1u);
  EXPECT_TRUE(lines("marks").empty());
  EXPECT_TRUE(logged("ZeroReservedConcurrency after 0 attempts"));
}

TEST_F(AsyncTest, RunsWhatAStopLeftAtTheNextStart) {
  options.retry_scale = 1;  // a minute before the next attempt: it is waiting when the stop comes
  start();
  ASSERT_EQ(event(mark("a", 1)).status, 202);
  ASSERT_EQ(wait_for_lines("marks", 1).size(), 1u);
  EXPECT_TRUE(logged("REPORT"));
  std::this_thread::sleep_for(50ms);
  emulator.reset();
  EXPECT_TRUE(logged("1 asynchronous event is kept"));
  // Its attempts count on, so that the second start knows what the first one did.
  const auto opened = EventLog::open(options.state_directory, system_files(), system_state_files());
  ASSERT_TRUE(opened);
  ASSERT_EQ(opened->events.size(), 1u);
  EXPECT_EQ(opened->events[0].progress.attempts, 1u);
  EXPECT_GT(opened->events[0].progress.due, system_clock().wall_now() + 30s);
}

TEST_F(AsyncTest, DropsWhatGrewTooOldAndKeepsWhatIsForOthers) {
  {
    const auto opened =
        EventLog::open(options.state_directory, system_files(), system_state_files());
    AcceptedEvent old;
    old.function = "chat";
    old.event = mark("old").dump();
    old.accepted = system_clock().wall_now() - 7h;
    ASSERT_TRUE(opened->log->accept(old));
    old.function = "elsewhere";
    ASSERT_TRUE(opened->log->accept(old));
  }
  function.dead_letter = "file:dead.jsonl";
  start();
  ASSERT_EQ(wait_for_lines("dead.jsonl", 1).size(), 1u);
  EXPECT_TRUE(logged("EventAgeExceeded"));
  EXPECT_TRUE(logged("1 for 'elsewhere', a function that is not here"));
  emulator.reset();
  const auto opened = EventLog::open(options.state_directory, system_files(), system_state_files());
  ASSERT_EQ(opened->events.size(), 1u);
  EXPECT_EQ(opened->events[0].event->function, "elsewhere");
}

TEST_F(AsyncTest, RefusesWhatTheDiskDoesNotTake) {
  FaultyFiles files(system_files(), {.call = 1, .only = FileCall::kSync, .stays = true});
  options.functions.push_back(function);
  auto started = Emulator::start(
      options, system_clock(), [](std::string_view) {}, files, files);
  ASSERT_TRUE(started) << started.error().message;
  emulator = std::move(*started);
  expect_aws_error(event(mark("a")), 503, "ServiceUnavailableException");
  emulator.reset();
  const auto opened = EventLog::open(options.state_directory, system_files(), system_state_files());
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->events.empty()) << "what was refused must not run";
  EXPECT_TRUE(lines("marks").empty());
}

}  // namespace
}  // namespace thaw::emulator
