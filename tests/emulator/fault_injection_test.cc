// Faults on purpose, as their callers see them.
#include "emulator_fixture.h"
#include "event_stream_reader.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class FaultInjectionTest : public EmulatorTest {
 protected:
  void inject(FaultKind kind, std::uint64_t amount = 0, double chance = 1) {
    options.faults.push_back({kind, amount, chance});
  }
};

TEST_F(FaultInjectionTest, KillsAtAByteOfAStream) {
  inject(FaultKind::kKillAt, 10);
  start();
  const auto answer = post(kStream, R"({"do":"stream","parts":3})");
  const auto messages = read_messages(answer.body);
  ASSERT_TRUE(messages);
  std::string text;
  for (const auto& message : *messages) {
    if (message.headers.at(":event-type") == "PayloadChunk") text += message.payload;
  }
  EXPECT_EQ(text, "part 0\npar");
  EXPECT_EQ(Json::parse(messages->back().payload)["ErrorCode"], "Runtime.ExitError");
  EXPECT_THAT(log(), HasSubstr("Error: Runtime exited with error: signal: killed"));
}

TEST_F(FaultInjectionTest, KillsAWholeAnswerOnlyWhereItIsLongEnough) {
  inject(FaultKind::kKillAt, 100);
  start();
  EXPECT_EQ(invoke(R"({"do":"raw","body":"1"})").body, "1");
  EXPECT_EQ(failure(invoke(R"({"do":"large","bytes":200})"))["errorType"], "Runtime.ExitError");
  EXPECT_EQ(invoke(R"({"do":"raw","body":"1"})").body, "1") << "by a new instance";
}

TEST_F(FaultInjectionTest, SlowsTheNetworkAndNotTheFunction) {
  inject(FaultKind::kSlowNetwork, 1000);
  start();
  invoke("{}");
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(invoke(R"({"do":"large","bytes":498})").body.size(), 500u);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 500ms);
  EXPECT_LT(emulator->ledger().recent(1).at(0).duration, 400ms);
}

TEST_F(FaultInjectionTest, DelaysAnAnswer) {
  inject(FaultKind::kLatency, 300);
  start();
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(invoke("{}").status, 200);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 300ms);
}

TEST_F(FaultInjectionTest, LosesAnAnswerThatWasGiven) {
  inject(FaultKind::kLostResponse);
  start();
  for (const std::string_view target : {kInvoke, kStream, std::string_view("/")}) {
    auto caller = client();
    http::Call call;
    call.method = "POST";
    call.target = target;
    call.body = "{}";
    const auto answer = caller->request(call);
    ASSERT_FALSE(answer) << target;
    EXPECT_EQ(answer.error().code, Code::kIo);
  }
  EXPECT_EQ(emulator->ledger().totals().at("chat").of(Ending::kLost), 3u);
  EXPECT_THAT(log(), HasSubstr("REPORT RequestId: ")) << "the function ran";
}

TEST_F(FaultInjectionTest, Throttles) {
  inject(FaultKind::kThrottle);
  start();
  expect_aws_error(invoke("{}"), 429, "TooManyRequestsException");
  EXPECT_EQ(emulator->instance_count(), 0u);
}

TEST_F(FaultInjectionTest, CrashesStarts) {
  inject(FaultKind::kInitCrash);
  start();
  const Json document = failure(invoke("{}"));
  EXPECT_EQ(document["errorType"], "Runtime.ExitError");
  EXPECT_THAT(document.value("errorMessage", ""), HasSubstr("signal: killed"));
}

TEST_F(FaultInjectionTest, HangsStarts) {
  inject(FaultKind::kInitHang);
  options.init_max = 100ms;
  function.timeout = 100ms;
  start();
  EXPECT_EQ(failure(invoke("{}"))["errorType"], "Sandbox.Timedout");
}

TEST_F(FaultInjectionTest, FallsTheSameWayForOneSeed) {
  inject(FaultKind::kThrottle, 0, 0.5);
  options.fault_seed = 99;
  start();
  std::vector<int> statuses, wanted;
  for (int i = 0; i < 30; ++i) statuses.push_back(invoke("{}").status);
  Faults same(options.faults, 99);
  for (int i = 0; i < 30; ++i) wanted.push_back(same.draw(FaultKind::kThrottle) ? 429 : 200);
  EXPECT_EQ(statuses, wanted);
}

}  // namespace
}  // namespace thaw::emulator
