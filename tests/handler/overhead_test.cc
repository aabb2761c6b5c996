// What a warm invocation costs beside the model: the budget is 200 microseconds for the runtime and
// the handler together.
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <cstdio>

#include "fakes.h"

namespace thaw::handler {
namespace {

// Of this thread alone, so that a busy machine doesn't count.
double thread_microseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double median_microseconds(House& house, const std::string& event) {
  std::vector<double> times;
  for (int i = 0; i < 300; ++i) {
    house.generator.requests.clear();
    house.responder = FakeResponder();
    const double start = thread_microseconds();
    const Outcome outcome = house.handle(event);
    times.push_back(thread_microseconds() - start);
    EXPECT_FALSE(outcome.error.has_value());
  }
  std::nth_element(times.begin(), times.begin() + 150, times.end());
  return times[150];
}

// An API Gateway event of some 3 KB with a conversation of some turns in its body.
std::string typical_event(bool stream) {
  std::string body = R"({\"messages\":[{\"role\":\"system\",\"content\":\"You are helpful.\"})";
  for (int turn = 0; turn < 6; ++turn) {
    body += R"(,{\"role\":\"user\",\"content\":\"Tell me a little more about it, please.\"})";
    body += R"(,{\"role\":\"assistant\",\"content\":\"It is, as you may have guessed, there.\"})";
  }
  body += R"(],\"max_tokens\":64,\"temperature\":0.7,\"stream\":)" +
          std::string(stream ? "true" : "false") + "}";
  std::string event = read_sample("aws-lambda-go/apigw-request.json");
  const auto replace = [&](std::string_view from, std::string_view to) {
    const std::size_t at = event.find(from);
    ASSERT_NE(at, std::string::npos);
    event.replace(at, from.size(), to);
  };
  replace(R"("path": "/hello/world")", R"("path": "/v1/chat/completions")");
  replace(R"({\r\n\t\"a\": 1\r\n})", body);
  return event;
}

TEST(Overhead, OfAWarmInvocationIsWithinItsBudget) {
  House house;
  house.generator.pieces.assign(64, " token");
  const double direct = median_microseconds(house, R"({"prompt":"Hi","max_tokens":64})");
  const double whole = median_microseconds(house, typical_event(false));
  const double stream = median_microseconds(house, typical_event(true));
  std::printf(
      "handle(), median of 300: direct %.1f us, API Gateway chat %.1f us, streamed %.1f us\n",
      direct, whole, stream);
  RecordProperty("direct_us", std::to_string(direct));
  RecordProperty("whole_us", std::to_string(whole));
  RecordProperty("stream_us", std::to_string(stream));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__OPTIMIZE__) && \
    defined(__x86_64__)
  EXPECT_LT(direct, 200);
  EXPECT_LT(whole, 200);
  EXPECT_LT(stream, 200);
#endif
}

}  // namespace
}  // namespace thaw::handler
