// Several loops against one platform.
#include "runtime/lambda/crew.h"

#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <future>
#include <latch>
#include <string>
#include <thread>

#include "base/str.h"
#include "tests/lambda/platform.h"

namespace thaw::lambda {
namespace {

using namespace std::chrono_literals;
using handler::InvocationContext;
using handler::Outcome;
using handler::Responder;

Outcome echo(std::string_view event, const InvocationContext&, Responder&) {
  Outcome outcome;
  outcome.body = event;
  return outcome;
}

struct Running {
  Running(std::uint32_t loops, Platform& platform, const Answer& answer,
          const LoopOptions& options = {}) {
    auto made =
        Crew::create(loops, connect_to(platform.authority()), answer, system_clock(), options);
    EXPECT_TRUE(made);
    crew = *std::move(made);
    ending = std::async(std::launch::async, [this] { return crew->run(); });
  }
  Ending stop() {
    crew->stop();
    return ending.get();
  }
  std::unique_ptr<Crew> crew;
  std::future<Ending> ending;
};

std::size_t threads() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/self/task")) {
    ++count;
  }
  return count;
}

TEST(Crew, HasAsManyInvocationsInFlightAsItIsAskedTo) {
  Platform platform;
  std::latch all(5);  // four answers and this test
  Running running(4, platform, [&](std::string_view event, const auto& context, auto& responder) {
    if (event == "together") all.arrive_and_wait();
    return echo(event, context, responder);
  });
  ASSERT_TRUE(platform.wait_for_loops(4));
  for (int i = 0; i < 4; ++i) platform.give(cat("id-", i), "together");
  all.arrive_and_wait();  // hangs where fewer are in flight
  for (int i = 0; i < 4; ++i) EXPECT_EQ(platform.answer(cat("id-", i))->body, "together");
  // The fifth waits at the platform, for which no loop asks while all four are busy.
  for (int i = 4; i < 40; ++i) platform.give(cat("id-", i), cat(i));
  for (int i = 4; i < 40; ++i) EXPECT_EQ(platform.answer(cat("id-", i))->body, cat(i));
  EXPECT_EQ(running.stop(), Ending::kStopped);
}

TEST(Crew, OfOneStartsNoThread) {
  Platform platform;
  std::size_t during = 0;
  auto crew = Crew::create(
      1, connect_to(platform.authority()),
      [&](std::string_view event, const InvocationContext& context, Responder& responder) {
        during = threads();
        return echo(event, context, responder);
      },
      system_clock(), {});
  ASSERT_TRUE(crew);
  std::thread client([&] {
    EXPECT_TRUE(platform.invoke("id", "{}"));
    (*crew)->stop();
  });
  const std::size_t before = threads();
  EXPECT_EQ((*crew)->run(), Ending::kStopped);
  client.join();
  EXPECT_EQ(during, before + 1) << "beside the connection's, which the platform here has";
}

TEST(Crew, AskedForMoreThanItsLimitRunsThatMany) {
  Platform platform;
  const auto none = Crew::create(0, connect_to(platform.authority()), echo, system_clock(), {});
  EXPECT_TRUE(none) << "and nought is one";
  EXPECT_EQ(Crew::create(2, connect_to("no address at all"), echo, system_clock(), {}).error().code,
            Code::kInvalid);
}

TEST(Crew, EndsWithTheFirstLoopThatLosesThePlatform) {
  auto platform = std::make_unique<Platform>();
  LoopOptions options;
  options.next_failures_max = 2;
  options.retry_wait = options.retry_wait_max = 1ms;
  Running running(3, *platform, echo, options);
  ASSERT_TRUE(platform->wait_for_loops(3));
  platform = nullptr;
  EXPECT_EQ(running.ending.get(), Ending::kFailed);
}

TEST(Crew, TellsAllInvocationsInProgressToHurry) {
  Platform platform;
  std::latch begun(4);
  Running running(3, platform, [&](std::string_view event, const auto& context, auto& responder) {
    begun.arrive_and_wait();
    while (!*context.hurry) std::this_thread::yield();
    return echo(event, context, responder);
  });
  for (int i = 0; i < 3; ++i) platform.give(cat("id-", i), cat(i));
  begun.arrive_and_wait();
  EXPECT_EQ(running.stop(), Ending::kStopped);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(platform.answer(cat("id-", i))->body, cat(i));
}

TEST(LoopGate, TellsWhatIsInFlightAndClosesWhereTheEndIsNear) {
  LoopGate gate(4);
  gate.began();
  gate.began();
  gate.ended();
  EXPECT_FALSE(gate.closed());
  ASSERT_EQ(gate.gauges().size(), 2u);
  EXPECT_EQ(gate.gauges()[0].name, "thaw_lambda_loops");
  EXPECT_EQ(gate.gauges()[0].value, 4);
  EXPECT_EQ(gate.gauges()[1].value, 1);
  gate.drain();
  EXPECT_EQ(gate.closed()->code, "draining");
}

}  // namespace
}  // namespace thaw::lambda
