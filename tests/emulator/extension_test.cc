// External extensions and what they are told: registration, events, telemetry, shutdown.
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "emulator_fixture.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class ExtensionTest : public EmulatorTest {
 protected:
  ExtensionTest() {
    folder_ = testing::TempDir() + "thaw_extensions_" + std::to_string(::getpid());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    std::filesystem::create_symlink(FAKE_EXTENSION, folder_ + "/fake_extension");
    heard_path_ = folder_ + "/heard";
    options.extensions = folder_;
    function.environment = {"FAKE_HEARD=" + heard_path_};
  }
  ~ExtensionTest() override {
    emulator.reset();
    std::filesystem::remove_all(folder_);
  }
  void be(const std::string& how) { function.environment.push_back("FAKE_EXTENSION=" + how); }
  std::string heard() {
    std::ostringstream text;
    text << std::ifstream(heard_path_).rdbuf();
    return text.str();
  }
  bool heard_soon(const std::string& text) {
    const auto until = std::chrono::steady_clock::now() + 5s;
    while (heard().find(text) == std::string::npos) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(5ms);
    }
    return true;
  }
  std::vector<Json> events(const std::string& kind) {
    std::vector<Json> out;
    std::istringstream all(heard());
    for (std::string line; std::getline(all, line);) {
      if (line.starts_with(kind + " {")) out.push_back(Json::parse(line.substr(kind.size() + 1)));
    }
    return out;
  }

  std::string folder_, heard_path_;
};

TEST_F(ExtensionTest, HearsOfItsFunctionAndOfEachInvocation) {
  start();
  const auto answer = invoke("{}");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(heard(), HasSubstr("registered 200 {\"functionName\":\"chat\",\"functionVersion\":"
                                 "\"$LATEST\",\"handler\":\"thaw_fake.thaw\"}"));
  EXPECT_THAT(log(), HasSubstr("EXTENSION\tName: fake_extension\tState: Ready\tEvents: [INVOKE, "
                               "SHUTDOWN]"));
  ASSERT_TRUE(heard_soon(R"("eventType":"INVOKE")"));
  const Json event = events("event").at(0);
  EXPECT_EQ(event["eventType"], "INVOKE");
  EXPECT_EQ(event["requestId"], std::string(*answer.headers.get("x-amzn-RequestId")));
  EXPECT_EQ(event["invokedFunctionArn"], "arn:aws:lambda:us-east-1:123456789012:function:chat");
  EXPECT_EQ(event["tracing"]["type"], "X-Amzn-Trace-Id");
  EXPECT_GT(event["deadlineMs"], 0);
}

TEST_F(ExtensionTest, IsSentTelemetryOfAllKinds) {
  options.freezes = false;  // so that the last batch comes without another invocation
  start();
  const auto answer = invoke(R"({"do":"print"})");
  const std::string id(*answer.headers.get("x-amzn-RequestId"));
  EXPECT_THAT(heard(), HasSubstr("subscribed 200 OK"));
  ASSERT_TRUE(heard_soon("platform.report"));
  std::vector<std::string> types;
  for (const Json& item : events("telemetry")) {
    types.push_back(item["type"]);
    EXPECT_TRUE(item.contains("time") && item.contains("record")) << item;
    if (item["type"] == "function") {
      EXPECT_TRUE(item["record"].is_string());
    }
    if (item["type"] == "platform.runtimeDone") {
      EXPECT_EQ(item["record"]["requestId"], id);
    }
  }
  EXPECT_THAT(types, testing::IsSupersetOf(
                         {"platform.initStart", "platform.initRuntimeDone", "platform.initReport",
                          "platform.extension", "platform.telemetrySubscription", "platform.start",
                          "function", "platform.runtimeDone", "platform.report"}));
}

TEST_F(ExtensionTest, HasTwoSecondsToShutDown) {
  start();
  invoke("{}");
  emulator->stop();
  const auto told = events("event");
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back()["eventType"], "SHUTDOWN");
  EXPECT_EQ(told.back()["shutdownReason"], "spindown");
  EXPECT_THAT(heard(), HasSubstr("bye"));
}

TEST_F(ExtensionTest, IsKilledWhereItStays) {
  be("stays");
  start();
  invoke("{}");
  const auto begun = std::chrono::steady_clock::now();
  emulator->stop();
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_GT(took, 1500ms);
  EXPECT_LT(took, 10s);
}

TEST_F(ExtensionTest, HearsThatAnInvocationRanOutOfTime) {
  function.timeout = 400ms;
  start();
  EXPECT_EQ(failure(invoke(R"({"do":"hang"})"))["errorType"], "Sandbox.Timedout");
  ASSERT_TRUE(heard_soon(R"("eventType":"SHUTDOWN")"));
  EXPECT_EQ(events("event").back()["shutdownReason"], "timeout");
}

TEST_F(ExtensionTest, HearsThatTheRuntimeCrashed) {
  start();
  EXPECT_EQ(failure(invoke(R"({"do":"abort"})"))["errorType"], "Runtime.ExitError");
  ASSERT_TRUE(heard_soon(R"("eventType":"SHUTDOWN")"));
  EXPECT_EQ(events("event").back()["shutdownReason"], "failure");
}

TEST_F(ExtensionTest, FailsTheStartWhereItSaysSo) {
  be("error");
  start();
  EXPECT_EQ(failure(invoke("{}")), Json::object()) << "its own document";
  EXPECT_THAT(heard(), HasSubstr("told 202"));
  EXPECT_THAT(log(), HasSubstr("Error Type: Extension.InitError"));
}

TEST_F(ExtensionTest, TakesItsInstanceWithItWhereItCrashes) {
  be("crash");
  start();
  const Json document = failure(invoke(R"({"do":"hang"})"));
  EXPECT_EQ(document["errorType"], "Extension.Crash");
  EXPECT_THAT(document.value("errorMessage", ""), HasSubstr("'fake_extension' ended: exit status "
                                                            "5"));
}

TEST_F(ExtensionTest, IsWaitedForBeforeTheNextInvocation) {
  be("slow");
  function.pool.instances_max = 1;
  start();
  EXPECT_EQ(invoke("{}").status, 200);
  ASSERT_TRUE(heard_soon(R"("eventType":"INVOKE")"));
  std::this_thread::sleep_for(400ms);
  EXPECT_EQ(invoke("{}").status, 200);
}

TEST_F(ExtensionTest, EndsAStartInWhichItNeverRegisters) {
  be("mute");
  options.init_max = 200ms;
  function.timeout = 300ms;
  start();
  EXPECT_EQ(failure(invoke("{}"))["errorType"], "Sandbox.Timedout");
  EXPECT_THAT(log(), HasSubstr("Phase: init\tStatus: timeout"));
}

TEST_F(ExtensionTest, MayBeInternalAndWantNoEvents) {
  options.extensions.clear();
  function.environment = {"FAKE_INIT=registers"};
  start();
  EXPECT_EQ(invoke("{}").status, 200);
  EXPECT_TRUE(logged("registered 200"));
  EXPECT_THAT(log(), HasSubstr("EXTENSION\tName: nothing\tState: Ready\tEvents: []"));
}

TEST_F(ExtensionTest, MustComeFromAFolderOfExecutables) {
  options.functions = {function};
  options.extensions = folder_ + "/nowhere";
  const auto nowhere = Emulator::start(options, system_clock(), [](std::string_view) {});
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Code::kNotFound);
  for (int i = 0; i < 10; ++i) {
    std::filesystem::create_symlink(FAKE_EXTENSION, folder_ + "/more" + std::to_string(i));
  }
  options.extensions = folder_;
  const auto many = Emulator::start(options, system_clock(), [](std::string_view) {});
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, Code::kLimit);
}

}  // namespace
}  // namespace thaw::emulator
