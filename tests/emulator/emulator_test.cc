// The whole emulator on the loopback, with real processes: every way in which an invocation can go,
// as its caller sees it.
#include "runtime/emulator/emulator.h"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>
#include <vector>

#include "emulator_fixture.h"
#include "event_stream_reader.h"
#include "runtime/emulator/event_stream.h"
#include "runtime/lambda/protocol.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::MatchesRegex;

TEST_F(EmulatorTest, AnswersAnInvocationAndKeepsTheInstanceForTheNext) {
  start();
  const auto first = invoke(R"({"do":"echo","x":[1,2]})", {{"X-Amzn-Trace-Id", "Root=1-2-3"}});
  EXPECT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(first.headers.get("X-Amz-Executed-Version"), "$LATEST");
  EXPECT_FALSE(first.headers.has("X-Amz-Function-Error"));
  const Json answer = Json::parse(first.body);
  EXPECT_EQ(answer["event"], Json::parse(R"({"do":"echo","x":[1,2]})"));
  EXPECT_EQ(answer["id"], std::string(*first.headers.get("x-amzn-RequestId")));
  EXPECT_EQ(answer["trace"], "Root=1-2-3");
  EXPECT_EQ(answer["deadline"], true);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Json::parse(invoke("{}").body)["pid"], answer["pid"]) << "a second instance";
  }
  EXPECT_EQ(emulator->instance_count(), 1u);
}

TEST_F(EmulatorTest, WritesThePlatformsLines) {
  start();
  const auto answer = invoke(R"({"do":"print","lines":2})", {{"X-Amz-Log-Type", "Tail"}});
  const auto tail = lambda::base64_decode(answer.headers.get("X-Amz-Log-Result").value_or("-"));
  ASSERT_TRUE(tail);
  const std::string id(*answer.headers.get("x-amzn-RequestId"));
  EXPECT_THAT(*tail, MatchesRegex("START RequestId: " + id +
                                  " Version: \\$LATEST\ndoing print\nline 0\nline 1\n"
                                  "END RequestId: " +
                                  id + "\nREPORT RequestId: " + id +
                                  "\tDuration: [0-9.]+ ms\tBilled Duration: [0-9]+ ms\t"
                                  "Memory Size: 512 MB\tMax Memory Used: [0-9]+ MB\t"
                                  "Init Duration: [0-9.]+ ms\n"));
  EXPECT_THAT(log(), HasSubstr("[chat] START RequestId: " + id));
  EXPECT_THAT(log(), HasSubstr("[chat] line 1\n"));
  const auto second = invoke("{}", {{"X-Amz-Log-Type", "Tail"}});
  EXPECT_THAT(*lambda::base64_decode(*second.headers.get("X-Amz-Log-Result")),
              testing::Not(HasSubstr("Init Duration")));
  const auto long_one = invoke(R"({"do":"print","lines":5000})", {{"X-Amz-Log-Type", "Tail"}});
  EXPECT_EQ(lambda::base64_decode(*long_one.headers.get("X-Amz-Log-Result"))->size(), 4096u);
  EXPECT_THAT(log(), HasSubstr("[chat] line 4999\n")) << "the log itself is whole";
}

TEST_F(EmulatorTest, GivesTheFunctionLambdasEnvironmentAndNothingElse) {
  function.environment = {"THAW_LOG=debug"};
  setenv("THAW_TEST_LEAK", "1", 1);
  start();
  const Json all = Json::parse(invoke(R"({"do":"environment"})").body);
  const auto has = [&](const std::string& entry) {
    return std::find(all.begin(), all.end(), entry) != all.end();
  };
  for (const char* entry :
       {"_HANDLER=thaw_fake.thaw", "AWS_LAMBDA_FUNCTION_NAME=chat", "TZ=:UTC", "THAW_LOG=debug",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
        "AWS_REGION=us-east-1", "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand"}) {
    EXPECT_TRUE(has(entry)) << entry;
  }
  const auto folder = std::filesystem::path(function.snapshot).parent_path().string();
  EXPECT_TRUE(has("LAMBDA_TASK_ROOT=" + folder)) << all;
  EXPECT_FALSE(has("THAW_TEST_LEAK=1"));
}

TEST_F(EmulatorTest, TakesNamesArnsQualifiersAndAnEmptyEvent) {
  start();
  for (const char* name :
       {"chat/invocations?Qualifier=PROD", "chat:PROD/invocations",
        "arn:aws:lambda:us-east-1:123456789012:function:chat/invocations?Qualifier=PROD",
        "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Achat%3A%24LATEST/"
        "invocations?Qualifier=%24LATEST"}) {
    const auto answer = post(std::string("/2015-03-31/functions/") + name, "");
    EXPECT_EQ(answer.status, 200) << name;
    EXPECT_EQ(Json::parse(answer.body)["event"], Json::object());
  }
}

TEST_F(EmulatorTest, AnswersWhatItDoesNotKnowWithAwssErrors) {
  start();
  expect_aws_error(post("/2015-03-31/functions/other/invocations", "{}"), 404,
                   "ResourceNotFoundException");
  expect_aws_error(post("/2021-11-15/functions/other/response-streaming-invocations", "{}"), 404,
                   "ResourceNotFoundException");
  expect_aws_error(post("/2015-03-31/functions", "{}"), 404, "UnknownOperationException");
  expect_aws_error(send(*client(), "GET", kInvoke, ""), 404, "UnknownOperationException");
  expect_aws_error(invoke("{no json"), 400, "InvalidRequestContentException");
  expect_aws_error(invoke("{}", {{"X-Amz-Invocation-Type", "Whatever"}}), 400,
                   "InvalidParameterValueException");
  expect_aws_error(invoke("{}", {{"X-Amz-Client-Context", "!"}}), 400,
                   "InvalidRequestContentException");
  EXPECT_EQ(emulator->instance_count(), 0u) << "none of these reaches the function";
}

TEST_F(EmulatorTest, RefusesAnEventAboveTheLimitWholeAndTakesOneAtIt) {
  start();
  std::string event = R"({"do":"raw","body":"1","x":")";
  event += std::string((6u << 20) - event.size() - 2, 'x') + "\"}";
  ASSERT_EQ(event.size(), 6u << 20);
  EXPECT_EQ(invoke(event).body, "1");
  event.insert(event.size() - 2, "x");
  expect_aws_error(invoke(event), 413, "RequestTooLargeException");
}

TEST_F(EmulatorTest, ShowsAnErrorThatTheFunctionReports) {
  start();
  const Json document = failure(invoke(R"({"do":"error"})"));
  EXPECT_EQ(document["errorType"], "Function.Refused");
  EXPECT_EQ(document["errorMessage"], "it will not");
  EXPECT_EQ(emulator->instance_count(), 1u) << "it is fit for the next";
  EXPECT_THAT(log(), HasSubstr("Status: error\tError Type: Function.Refused"));
}

TEST_F(EmulatorTest, NamesTheEndOfAProcessThatDiesAndStartsAnother) {
  start();
  const std::pair<const char*, const char*> deaths[] = {
      {R"({"do":"abort"})", "Runtime exited with error: signal: aborted"},
      {R"({"do":"kill"})", "Runtime exited with error: signal: killed"},
      {R"({"do":"exit","code":3})", "Runtime exited with error: exit status 3"},
      {R"({"do":"exit"})", "Runtime exited without providing a reason"}};
  for (const auto& [event, text] : deaths) {
    const Json document = failure(invoke(event));
    EXPECT_EQ(document["errorType"], "Runtime.ExitError") << event;
    EXPECT_THAT(document.value("errorMessage", ""), HasSubstr(text));
    EXPECT_EQ(invoke("{}").status, 200) << "the next one finds a new instance";
  }
}

TEST_F(EmulatorTest, KillsAnInvocationThatRunsOutOfTime) {
  function.timeout = 300ms;
  start();
  const auto begun = std::chrono::steady_clock::now();
  const Json document = failure(invoke(R"({"do":"hang"})"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  EXPECT_EQ(document["errorType"], "Sandbox.Timedout");
  EXPECT_THAT(document.value("errorMessage", ""),
              MatchesRegex("RequestId: .* Error: Task timed out after 0.30 seconds"));
  EXPECT_THAT(log(), HasSubstr("Status: timeout"));
  EXPECT_EQ(invoke("{}").status, 200);
}

TEST_F(EmulatorTest, ShowsAFunctionThatCannotStart) {
  function.environment = {"FAKE_INIT=error"};
  start();
  const Json document = failure(invoke("{}"));
  EXPECT_EQ(document["errorType"], "Runtime.NoSuchSnapshot");
  EXPECT_EQ(document["errorMessage"], "it is not there");
}

TEST_F(EmulatorTest, ShowsAProcessThatEndsBeforeItIsReady) {
  function.environment = {"FAKE_INIT=exit"};
  FunctionOptions quiet = function;
  quiet.name = "quiet";
  quiet.environment = {"FAKE_INIT=quiet"};
  options.functions.push_back(quiet);
  start();
  EXPECT_THAT(failure(invoke("{}")).value("errorMessage", ""), HasSubstr("exit status 3"));
  const Json document = failure(post("/2015-03-31/functions/quiet/invocations", "{}"));
  EXPECT_EQ(document["errorType"], "Runtime.ExitError");
  EXPECT_THAT(document.value("errorMessage", ""), HasSubstr("without providing a reason"));
}

TEST_F(EmulatorTest, GivesASlowStartASecondAttemptUnderTheFunctionsOwnLimit) {
  options.init_max = 200ms;
  function.environment = {"FAKE_INIT=slow"};  // 600 ms
  function.timeout = 5s;
  start();
  EXPECT_EQ(invoke("{}").status, 200);
  EXPECT_THAT(log(), HasSubstr("Phase: init\tStatus: timeout"));
}

TEST_F(EmulatorTest, EndsAStartThatHasNoEnd) {
  options.init_max = 100ms;
  function.environment = {"FAKE_INIT=hang"};
  function.timeout = 200ms;
  start();
  const auto answer = invoke("{}");
  const Json document = failure(answer);
  EXPECT_EQ(document["errorType"], "Sandbox.Timedout");
  EXPECT_EQ(document["errorMessage"],
            "RequestId: " + std::string(*answer.headers.get("x-amzn-RequestId")) +
                " Error: Task timed out after 0.20 seconds");
}

TEST_F(EmulatorTest, RefusesWhatIsMoreThanTheFunctionsConcurrency) {
  function.reserved_concurrency = 1;
  start();
  std::thread busy([&] { EXPECT_EQ(invoke(R"({"do":"echo","wait_ms":700})").status, 200); });
  EXPECT_TRUE(logged("doing echo"));
  const auto answer = invoke("{}");
  expect_aws_error(answer, 429, "TooManyRequestsException");
  EXPECT_EQ(Json::parse(answer.body)["Reason"],
            "ReservedFunctionConcurrentInvocationLimitExceeded");
  busy.join();
  EXPECT_EQ(invoke("{}").status, 200);
}

TEST_F(EmulatorTest, RefusesEveryInvocationOfAFunctionWithoutConcurrency) {
  function.pool.instances_max = 0;
  start();
  expect_aws_error(invoke("{}"), 429, "TooManyRequestsException");
}

TEST_F(EmulatorTest, RunsInvocationsSideBySide) {
  start();
  std::vector<std::thread> callers;
  std::mutex pids_mutex;
  std::set<std::int64_t> pids;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      const auto answer = invoke(R"({"do":"echo","wait_ms":400})");
      const std::lock_guard lock(pids_mutex);
      pids.insert(Json::parse(answer.body)["pid"].get<std::int64_t>());
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(pids.size(), 4u);
}

TEST_F(EmulatorTest, LetsAnIdleInstanceGo) {
  function.pool.keep_alive = warmpool::FixedTime{100ms};
  start();
  invoke("{}");
  EXPECT_EQ(emulator->instance_count(), 1u);
  const auto until = std::chrono::steady_clock::now() + 5s;
  while (emulator->instance_count() > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(emulator->instance_count(), 0u);
}

TEST_F(EmulatorTest, RefusesARuntimeThatActsOutOfTurn) {
  start();
  const Json told = Json::parse(invoke(R"({"do":"misbehave"})").body);
  const auto expect = [&](const char* what, int status, const char* type) {
    EXPECT_EQ(told[what]["status"], status) << what;
    EXPECT_EQ(told[what]["type"], type) << what;
  };
  expect("wrong id", 400, "InvalidRequestID");
  expect("wrong mode", 400, "InvalidFunctionResponseMode");
  expect("wrong attempt", 410, "InvokeTimeout");
  expect("late init error", 403, "InvalidStateTransition");
  expect("next out of turn", 403, "InvalidStateTransition");
  expect("late registration", 403, "Extension.RegistrationClosed");
  expect("no such path", 404, "Runtime.NotFound");
  EXPECT_EQ(told["ping"], "pong");
}

TEST_F(EmulatorTest, FailsAnAnswerAboveTheLimit) {
  start();
  EXPECT_EQ(failure(invoke(R"({"do":"large","bytes":6291455})"))["errorType"],
            "Function.ResponseSizeTooLarge")
      << "refused by the loop itself";
  EXPECT_EQ(invoke(R"({"do":"large","bytes":6291454})").body.size(), 6u << 20);
  EXPECT_EQ(failure(invoke(R"({"do":"too large raw"})"))["errorType"],
            "Function.ResponseSizeTooLarge");
  EXPECT_TRUE(logged("told 413"));
}

TEST_F(EmulatorTest, TakesAsynchronousEventsAndDryRuns) {
  start();
  EXPECT_EQ(invoke("{}", {{"X-Amz-Invocation-Type", "DryRun"}}).status, 204);
  EXPECT_EQ(emulator->instance_count(), 0u);
  const auto answer = invoke(R"({"do":"print"})", {{"X-Amz-Invocation-Type", "Event"}});
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.body, "");
  EXPECT_TRUE(logged("REPORT RequestId: "));
  EXPECT_TRUE(logged("doing print"));
  expect_aws_error(
      invoke("\"" + std::string(1 << 20, 'x') + "\"", {{"X-Amz-Invocation-Type", "Event"}}), 413,
      "RequestTooLargeException");
}

TEST_F(EmulatorTest, ShowsABufferedCallerAStreamAsAWhole) {
  start();
  const auto whole = invoke(R"({"do":"stream"})");
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, "part 0\npart 1\npart 2\n");
  EXPECT_EQ(failure(invoke(R"({"do":"stream","then":"fail"})"))["errorType"], "Function.Broken");
  EXPECT_EQ(failure(invoke(R"({"do":"stream","then":"crash"})"))["errorType"], "Runtime.ExitError");
}

TEST_F(EmulatorTest, StreamsAnEventStreamAsItComes) {
  start();
  invoke("{}");  // warm
  auto caller = client();
  http::Call call;
  call.method = "POST";
  call.target = kStream;
  call.body = R"({"do":"stream","parts":3,"pause_ms":150})";
  std::string all;
  std::vector<std::chrono::steady_clock::time_point> times;
  const auto answer =
      caller->request(call, {[&](int status, const http::Fields& headers) -> Result<Done> {
                               EXPECT_EQ(status, 200);
                               EXPECT_EQ(headers.get("content-type"), kEventStreamType);
                               return Done{};
                             },
                             [&](std::string_view part) -> Result<Done> {
                               times.push_back(std::chrono::steady_clock::now());
                               all += part;
                               return Done{};
                             }});
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_GE(times.size(), 3u);
  EXPECT_GT(times.back() - times.front(), 200ms) << "held back";
  const auto messages = read_messages(all);
  ASSERT_TRUE(messages);
  std::string text;
  for (const auto& message : *messages) {
    if (message.headers.at(":event-type") == "PayloadChunk") text += message.payload;
  }
  EXPECT_EQ(text, "part 0\npart 1\npart 2\n");
  EXPECT_EQ(messages->back().headers.at(":event-type"), "InvokeComplete");
  EXPECT_EQ(messages->back().payload, "{}");
}

TEST_F(EmulatorTest, TellsOfAFailureAtTheEndOfAnEventStream) {
  start();
  const auto answer =
      post(kStream, R"({"do":"stream","then":"fail"})", {{"X-Amz-Log-Type", "Tail"}});
  const auto messages = read_messages(answer.body);
  ASSERT_TRUE(messages);
  const Json last = Json::parse(messages->back().payload);
  EXPECT_EQ(last["ErrorCode"], "Function.Broken");
  EXPECT_EQ(Json::parse(last["ErrorDetails"].get<std::string>())["errorMessage"],
            "it broke in the middle");
  EXPECT_THAT(*lambda::base64_decode(last["LogResult"].get<std::string>()), HasSubstr("END Req"));
}

TEST_F(EmulatorTest, EndsGracefullyAndAtOnce) {
  start();
  const auto pid = static_cast<pid_t>(Json::parse(invoke("{}").body)["pid"].get<std::int64_t>());
  EXPECT_EQ(::kill(pid, 0), 0);
  std::thread busy([&] {
    const auto answer = invoke(R"({"do":"hang"})");
    EXPECT_TRUE(answer.status == 200 || answer.status == 503) << answer.status;
  });
  EXPECT_TRUE(logged("doing hang"));
  const auto begun = std::chrono::steady_clock::now();
  emulator->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  busy.join();
  EXPECT_EQ(::kill(pid, 0), -1) << "a child outlived the emulator";
}

TEST_F(EmulatorTest, LetsAnInstanceThatLeavesBeReplaced) {
  start();
  EXPECT_EQ(invoke(R"({"do":"leave"})").body, R"("left")");
  EXPECT_EQ(invoke("{}").status, 200);
}

TEST_F(EmulatorTest, SaysWhatItCannotStartWith) {
  const auto fails = [&](Code code) {
    Options broken = options;
    broken.functions.push_back(function);
    const auto started = Emulator::start(broken, system_clock(), [](std::string_view) {});
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, code) << started.error().message;
  };
  const Options sound = options;
  options.bootstrap = "/nowhere";
  fails(Code::kNotFound);
  options = sound;
  function.snapshot = "/nowhere.thaw";
  fails(Code::kNotFound);
  function.snapshot = testing::TempDir() + "thaw_fake.thaw";
  for (const char* name : {"", "a b", "a/b", "a:b"}) {
    function.name = name;
    fails(Code::kInvalid);
  }
  function.name = std::string(65, 'a');
  fails(Code::kInvalid);
  function.name = "chat";
  function.pool.invocations_per_instance = 0;
  fails(Code::kInvalid);
  function.pool.invocations_per_instance = 1;
  function.timeout = 0ms;
  fails(Code::kInvalid);
  function.timeout = 1s;
  options.functions.push_back(function);
  fails(Code::kInvalid);
  options = sound;
  start();
  options = sound;
  options.port = emulator->port();
  options.functions.clear();
  fails(Code::kUnavailable);
}

}  // namespace
}  // namespace thaw::emulator
