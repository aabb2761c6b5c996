// What is too large, too deep or too much ends in an error document, and nothing else.
#include <gtest/gtest.h>

#include "fakes.h"
#include "handler/event/json.h"
#include "handler/event/json_writer.h"
#include "handler/request.h"
#include "handler/run.h"

namespace thaw::handler {
namespace {

std::string repeated(std::string_view piece, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += piece;
  return all;
}

TEST(Limits, DeepEventsAreRefused) {
  House house;
  for (const std::string& event :
       {repeated("[", 1000000), repeated("{\"a\":", 1000000),
        "{\"prompt\":\"a\",\"x\":" + repeated("[", 1000000) + repeated("]", 1000000) + "}"}) {
    const Outcome outcome = house.handle(event);
    ASSERT_TRUE(outcome.error.has_value());
    EXPECT_EQ(outcome.error->type, "Function.InvalidRequest");
    EXPECT_NE(outcome.error->message.find("nested levels"), std::string::npos);
  }
}

TEST(Limits, DeepBodiesAreRefused) {
  House house;
  const Outcome outcome = house.handle(url_event("POST", "/predict", repeated("[", 500000)));
  EXPECT_FALSE(outcome.error.has_value());
  EXPECT_NE(outcome.body.find("\"statusCode\":400"), std::string::npos);
}

TEST(Limits, LargeEventsAreRefused) {
  House house;
  house.manifest.event_bytes_max = 1024;
  const auto event = [](std::size_t bytes) {
    return R"({"prompt":")" + std::string(bytes - 13, 'x') + "\"}";
  };
  EXPECT_FALSE(house.handle(event(1024)).error.has_value());
  // 1,025 bytes are read and refused, 70,000 are refused unread.
  for (const std::size_t bytes : {std::size_t{1025}, std::size_t{70000}}) {
    const Outcome outcome = house.handle(event(bytes));
    ASSERT_TRUE(outcome.error.has_value());
    EXPECT_EQ(outcome.error->type, "Function.RequestTooLarge");
    EXPECT_EQ(outcome.error->message,
              "event: " + std::to_string(bytes) + " bytes, the limit is 1024; send less");
  }
}

TEST(Limits, TooManyMessagesAreRefused) {
  House house;
  const auto event = [](std::size_t count) {
    return R"({"messages":[)" + repeated(R"({"role":"user","content":"x"},)", count - 1) +
           R"({"role":"user","content":"x"}]})";
  };
  EXPECT_FALSE(house.handle(event(kMessagesMax)).error.has_value());
  const Outcome outcome = house.handle(event(kMessagesMax + 1));
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->message, "event 'messages': found 4097, wanted at most 4096");
}

TEST(Limits, AnAnswerThatIsHeldBackIsCutAtItsLimit) {
  for (const bool stream : {false, true}) {
    House house;
    house.responder.streams = false;
    house.generator.pieces.assign(6, std::string(1u << 20, 'x'));
    const Outcome outcome = house.handle(
        url_event("POST", "/v1/chat/completions",
                  std::string(R"({"messages":[{"role":"user","content":"x"}],"stream":)") +
                      (stream ? "true}" : "false}")));
    EXPECT_FALSE(outcome.error.has_value());
    EXPECT_LT(outcome.body.size(), kAnswerBytesMax + 65536);
    EXPECT_NE(outcome.body.find(R"(\"finish_reason\":\"length\")"), std::string::npos);
    EXPECT_EQ(outcome.body.find("[DONE]") != std::string::npos, stream);
    EXPECT_LE(house.generator.pieces_taken, 5u);
  }
}

TEST(Limits, AnEventOfManyValuesIsRefused) {
  House house;
  const Outcome outcome =
      house.handle("{\"prompt\":\"a\",\"x\":[" + repeated("0,", json::kValuesMax) + "0]}");
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->type, "Function.InvalidRequest");
}

}  // namespace
}  // namespace thaw::handler
