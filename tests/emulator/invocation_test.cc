#include "runtime/emulator/invocation.h"

#include <gtest/gtest.h>

#include <thread>

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;

Clock::Monotonic soon() { return std::chrono::steady_clock::now() + 5s; }
Clock::Monotonic already() { return std::chrono::steady_clock::now(); }

TEST(AnswerPipe, HandsPartsOverInOrderAndThenTheEnd) {
  AnswerPipe pipe;
  EXPECT_TRUE(pipe.begin({true, "text/plain", ""}));
  EXPECT_TRUE(pipe.push("one"));
  EXPECT_TRUE(pipe.push(""));
  EXPECT_TRUE(pipe.push("two"));
  EXPECT_TRUE(pipe.end({}));
  EXPECT_TRUE(pipe.wait_begin(soon()));
  EXPECT_EQ(pipe.head()->content_type, "text/plain");
  EXPECT_EQ(pipe.next(soon()), "one");
  EXPECT_EQ(pipe.next(soon()), "two");
  EXPECT_EQ(pipe.next(soon()), "");
  EXPECT_FALSE(pipe.failure());
}

TEST(AnswerPipe, EndsWithTheFirstFailure) {
  AnswerPipe pipe;
  EXPECT_TRUE(pipe.end(Failure{"A", "{}"}));
  EXPECT_FALSE(pipe.end(Failure{"B", "{}"}));
  EXPECT_FALSE(pipe.end({}));
  EXPECT_TRUE(pipe.wait_begin(soon()));
  EXPECT_FALSE(pipe.head());
  EXPECT_EQ(pipe.failure()->type, "A");
}

TEST(AnswerPipe, TellsBothSidesOfTimeAndOfAbandoning) {
  AnswerPipe pipe;
  EXPECT_FALSE(pipe.wait_begin(already()));
  EXPECT_TRUE(pipe.begin({}));
  EXPECT_EQ(pipe.next(already()), std::nullopt);
  pipe.abandon();
  EXPECT_FALSE(pipe.push("x"));
  EXPECT_FALSE(pipe.end({}));
}

TEST(AnswerPipe, HoldsBackARuntimeThatIsAheadOfItsCaller) {
  AnswerPipe pipe;
  const std::string part(AnswerPipe::kWaitingBytesMax, 'x');
  ASSERT_TRUE(pipe.push(part));
  std::atomic<bool> through{false};
  std::thread producer([&] {
    EXPECT_TRUE(pipe.push("y"));
    through = true;
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(through);
  EXPECT_EQ(pipe.next(soon())->size(), part.size());
  EXPECT_EQ(pipe.next(soon()), "y");
  producer.join();
}

TEST(PlatformFailure, IsAwssDocument) {
  EXPECT_EQ(
      platform_failure("Runtime.ExitError", "id", "Runtime exited with error: \"x\"").document,
      R"({"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: )"
      R"(Runtime exited with error: \"x\""})");
}

}  // namespace
}  // namespace thaw::emulator
