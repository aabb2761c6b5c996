// Streamed answers: as they go out, and every step at which one may break off.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "loop_fixture.h"

namespace thaw::lambda {
namespace {

using testing::HasSubstr;

class LoopStreamTest : public LoopTest {
 protected:
  static Outcome streamed() {
    Outcome outcome;
    outcome.streamed = true;
    return outcome;
  }
  static Outcome stream_two(Responder& responder, const handler::StreamHead& head) {
    EXPECT_TRUE(responder.can_stream());
    EXPECT_TRUE(responder.begin(head));
    EXPECT_TRUE(responder.write("one,"));
    EXPECT_TRUE(responder.write(""));
    EXPECT_TRUE(responder.write("two"));
    return streamed();
  }
};

TEST_F(LoopStreamTest, StreamsPartsAsTheyCome) {
  script.answers = {event("{}", {{"Lambda-Runtime-Invocation-Id", "try-7"}}), status(202)};
  run([](std::string_view, const InvocationContext&, Responder& responder) {
    return stream_two(responder, {.content_type = "text/plain", .http = {}});
  });
  ASSERT_EQ(answers().size(), 1u);
  const Sent sent = answers()[0];
  EXPECT_TRUE(sent.streamed && sent.finished);
  EXPECT_EQ(sent.target, "/2018-06-01/runtime/invocation/id-1/response");
  EXPECT_EQ(sent.headers.get("Lambda-Runtime-Function-Response-Mode"), "streaming");
  EXPECT_EQ(sent.headers.get("Content-Type"), "text/plain");
  EXPECT_EQ(sent.headers.get("Lambda-Runtime-Invocation-Id"), "try-7");
  EXPECT_EQ(sent.announced,
            "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body");
  EXPECT_EQ(sent.body, "one,two");
  EXPECT_TRUE(sent.trailers.empty());
  EXPECT_EQ(script.closes, 0);
}

TEST_F(LoopStreamTest, BeginsAnHttpAnswerWithThePrelude) {
  script.answers = {event(), status(202)};
  run([](std::string_view, const InvocationContext&, Responder& responder) {
    handler::StreamHead head;
    head.content_type = "text/event-stream";
    head.http = handler::StreamHead::Http{
        201, {{"X-A", "1"}, {"x-a", "2"}, {"Set-Cookie", "c=1"}, {"set-cookie", "d=2"}}};
    return stream_two(responder, head);
  });
  const Sent sent = answers()[0];
  EXPECT_EQ(sent.headers.get("Content-Type"),
            "application/vnd.awslambda.http-integration-response");
  const std::string end(8, '\0');
  const std::size_t at = sent.body.find(end);
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(sent.body.substr(0, at)), nlohmann::json::parse(R"({
      "statusCode":201,"headers":{"x-a":"1, 2","content-type":"text/event-stream"},
      "cookies":["c=1","d=2"]})"));
  EXPECT_EQ(sent.body.substr(at + 8), "one,two");
}

TEST_F(LoopStreamTest, TellsOfAFailureInTheMiddleByTrailersAndCloses) {
  script.answers = {event(), status(202), event(), status(202)};
  run([](std::string_view, const InvocationContext&, Responder& responder) {
    Outcome outcome = stream_two(responder, {});
    outcome.error = {"Function.GenerationFailed", "it broke"};
    return outcome;
  });
  const Sent sent = answers()[0];
  EXPECT_EQ(sent.trailers.get("Lambda-Runtime-Function-Error-Type"), "Function.GenerationFailed");
  const auto body = base64_decode(*sent.trailers.get("Lambda-Runtime-Function-Error-Body"));
  ASSERT_TRUE(body);
  EXPECT_EQ(nlohmann::json::parse(*body)["errorMessage"], "it broke");
  EXPECT_EQ(script.closes, 2);
  EXPECT_EQ(answers().size(), 2u) << "it goes on";
}

TEST_F(LoopStreamTest, ReportsTheOrdinaryWayWhenNothingWasStreamedYet) {
  script.answers = {event(), status(202)};
  run([](std::string_view, const InvocationContext&, Responder&) {
    Outcome outcome = streamed();
    outcome.error = {"Function.BadPrompt", "no"};
    return outcome;
  });
  EXPECT_THAT(answers()[0].target, HasSubstr("/error"));
}

TEST_F(LoopStreamTest, TriesTwiceToBeginOverAConnectionThatDied) {
  script.answers = {event(), status(202)};
  script.begins = {broken()};
  run([](std::string_view, const InvocationContext&, Responder& responder) {
    return stream_two(responder, {});
  });
  EXPECT_EQ(answers().size(), 1u);
  EXPECT_EQ(answers()[0].body, "one,two");
}

TEST_F(LoopStreamTest, StopsWritingWhenThePlatformAnswersEarlyAndGoesOnAfter410) {
  script.early = status(410);
  script.answers = {event(), event(), status(202)};
  int calls = 0;
  run([&](std::string_view event, const InvocationContext& context, Responder& responder) {
    if (++calls == 2) return echo(event, context, responder);
    EXPECT_TRUE(responder.begin({}));
    EXPECT_FALSE(responder.write("x"));
    EXPECT_FALSE(responder.write("y"));
    return streamed();
  });
  EXPECT_EQ(calls, 2);
  EXPECT_FALSE(answers()[0].finished);
  EXPECT_EQ(script.closes, 1);
}

TEST_F(LoopStreamTest, DoesNotFinishAStreamThatBroke) {
  script.parts_max = 1;
  script.answers = {event(), event(), status(202)};
  int calls = 0;
  run([&](std::string_view event, const InvocationContext& context, Responder& responder) {
    if (++calls == 2) return echo(event, context, responder);
    EXPECT_TRUE(responder.begin({}));
    EXPECT_TRUE(responder.write("x"));
    EXPECT_EQ(responder.write("y").error().code, Code::kIo);
    return streamed();
  });
  EXPECT_EQ(calls, 2);
  EXPECT_FALSE(answers()[0].finished) << "a good end would make half an answer look whole";
  EXPECT_EQ(script.closes, 1);
}

TEST_F(LoopStreamTest, EndsAStreamAtLambdasLimitAndSaysSo) {
  script.answers = {event(), status(202)};
  run([&](std::string_view, const InvocationContext&, Responder& responder) {
    EXPECT_TRUE(responder.begin({}));
    const std::string part(50u << 20, 'x');
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(responder.write(part)) << i;
    EXPECT_EQ(responder.write("x").error().code, Code::kLimit);
    EXPECT_EQ(responder.write("").has_value(), true);
    EXPECT_EQ(responder.write("y").error().code, Code::kLimit) << "no hole in the middle";
    return streamed();
  });
  ASSERT_EQ(answers().size(), 1u);
  EXPECT_EQ(answers()[0].body.size(), 200u << 20);
  EXPECT_TRUE(answers()[0].finished);
  EXPECT_EQ(answers()[0].trailers.get("Lambda-Runtime-Function-Error-Type"),
            "Function.ResponseSizeTooLarge");
}

TEST_F(LoopStreamTest, RefusesToBeginTwice) {
  script.answers = {event(), status(202)};
  run([&](std::string_view, const InvocationContext&, Responder& responder) {
    EXPECT_FALSE(responder.write("too soon"));
    EXPECT_TRUE(responder.begin({}));
    EXPECT_FALSE(responder.begin({}));
    return streamed();
  });
  EXPECT_EQ(answers().size(), 1u);
}

}  // namespace
}  // namespace thaw::lambda
