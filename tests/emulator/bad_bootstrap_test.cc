// Custom runtimes that do what none should: what their callers hear, and that the pool goes on.
#include <signal.h>
#include <sys/stat.h>

#include "emulator_fixture.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class BadBootstrapTest : public EmulatorTest {};

TEST_F(BadBootstrapTest, CountsTheFirstOfSeveralAnswers) {
  start();
  EXPECT_EQ(invoke(R"({"do":"answer twice"})").body, R"("first")");
  EXPECT_TRUE(logged("told 403"));
  EXPECT_EQ(invoke("{}").status, 200);
}

TEST_F(BadBootstrapTest, DeliversAnAnswerGivenWithTheLastBreath) {
  start();
  EXPECT_EQ(invoke(R"({"do":"answer and die"})").body, R"("last words")");
  EXPECT_EQ(invoke("{}").status, 200);
}

TEST_F(BadBootstrapTest, SurvivesGarbageOnTheRuntimeApi) {
  start();
  EXPECT_EQ(invoke(R"({"do":"garbage"})").body, R"("survived")");
  EXPECT_EQ(invoke("{}").status, 200);
}

TEST_F(BadBootstrapTest, PassesOnAnAnswerThatIsNoJson) {
  start();
  EXPECT_EQ(invoke(R"({"do":"raw","body":"\u0000not json"})").body, std::string("\0not json", 9));
}

TEST_F(BadBootstrapTest, ReplacesAnInstanceThatDiedWhileItWasFrozen) {
  start();
  const auto pid = static_cast<pid_t>(Json::parse(invoke("{}").body)["pid"].get<std::int64_t>());
  ::kill(pid, SIGKILL);
  const auto until = std::chrono::steady_clock::now() + 5s;
  while (emulator->instance_count() > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(emulator->instance_count(), 0u);
  EXPECT_NE(Json::parse(invoke("{}").body)["pid"].get<std::int64_t>(), pid);
}

TEST_F(BadBootstrapTest, IsNoProgramAtAll) {
  options.bootstrap = testing::TempDir() + "thaw_no_program";
  std::ofstream(options.bootstrap) << "no program";
  ::chmod(options.bootstrap.c_str(), 0755);
  start();
  const Json document = failure(invoke("{}"));
  EXPECT_EQ(document["errorType"], "Runtime.InvalidEntrypoint");
  EXPECT_THAT(document.value("errorMessage", ""), HasSubstr("must be an executable program"));
}

TEST_F(BadBootstrapTest, IsGoneInTheMomentItBecomesReady) {
  function.environment = {"FAKE_INIT=ask and go"};
  start();
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(failure(invoke("{}"))["errorType"], "Runtime.ExitError") << i;
  }
}

TEST_F(BadBootstrapTest, IsDifferentEachTimeAndThePoolGoesOn) {
  function.timeout = 300ms;
  start();
  const char* const events[] = {R"({"do":"abort"})",
                                R"({"do":"exit"})",
                                R"({"do":"hang"})",
                                R"({"do":"answer twice"})",
                                R"({"do":"answer and die"})",
                                R"({"do":"garbage"})",
                                R"({"do":"large","bytes":6291455})",
                                R"({"do":"error"})"};
  for (int round = 0; round < 3; ++round) {
    for (const char* event : events) EXPECT_EQ(invoke(event).status, 200) << event;
  }
  EXPECT_EQ(invoke(R"({"do":"raw","body":"1"})").body, "1");
}

}  // namespace
}  // namespace thaw::emulator
