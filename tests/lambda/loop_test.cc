// The loop against a scripted Runtime API: every word that the platform may say, and every step at
// which the connection may break.
#include "runtime/lambda/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loop_fixture.h"

namespace thaw::lambda {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(LoopTest, AnswersAnEventAndAsksForTheNext) {
  script.answers = {event(R"({"a":1})"), status(202), event(R"({"b":2})"), status(202)};
  EXPECT_EQ(run(echo), Ending::kFailed);  // the script's end is a 500
  ASSERT_EQ(answers().size(), 2u);
  EXPECT_EQ(nexts(), 3u);
  EXPECT_EQ(script.sent[0].method, "GET");
  EXPECT_EQ(answers()[0].method, "POST");
  EXPECT_EQ(answers()[0].target, "/2018-06-01/runtime/invocation/id-1/response");
  EXPECT_EQ(answers()[0].body, R"({"a":1})");
  EXPECT_EQ(answers()[0].headers.get("content-type"), "application/json");
  EXPECT_FALSE(answers()[0].headers.has(kInvocationIdHeader));
  EXPECT_FALSE(answers()[0].headers.has(kResponseModeHeader));
  EXPECT_EQ(answers()[1].body, R"({"b":2})");
  EXPECT_EQ(script.connects, 1);
}

TEST_F(LoopTest, EchoesTheInvocationIdOnlyWhereItCame) {
  script.answers = {event("{}", {{"LAMBDA-RUNTIME-INVOCATION-ID", "try-7"}}), status(202),
                    event("{}", {{"Lambda-Runtime-Invocation-Id", ""}}), status(202)};
  run(echo);
  EXPECT_EQ(answers()[0].headers.get("Lambda-Runtime-Invocation-Id"), "try-7");
  EXPECT_FALSE(answers()[1].headers.has("Lambda-Runtime-Invocation-Id"));
}

TEST_F(LoopTest, HandsTheTraceIdOutBeforeTheEventIsAnsweredAndClearsIt) {
  std::vector<std::string> seen;
  options.trace_id = [&](std::string_view id) { seen.emplace_back(id); };
  script.answers = {event("{}", {{"Lambda-Runtime-Trace-Id", "Root=1-5;Sampled=1"}}), status(202),
                    event(), status(202)};
  run([&](std::string_view event, const InvocationContext& context, Responder& responder) {
    seen.emplace_back("answer");
    return echo(event, context, responder);
  });
  EXPECT_THAT(seen, ElementsAre("Root=1-5;Sampled=1", "answer", "", "answer"));
}

TEST_F(LoopTest, MovesTheDeadlineToItsOwnClockLessAMargin) {
  clock.advance(1'000'000ms);
  std::vector<std::optional<Clock::Monotonic>> deadlines;
  const Answer note = [&](std::string_view event, const InvocationContext& context,
                          Responder& responder) {
    deadlines.push_back(context.deadline);
    EXPECT_EQ(context.request_id, "id-1");
    return echo(event, context, responder);
  };
  for (const char* ms : {"1010000", "1001000", "999000", "", "soon", "12x", "-5",
                         "99999999999999999999", "9223372036854775807"}) {
    script.answers.push_back(event("{}", {{"Lambda-Runtime-Deadline-Ms", ms}}));
    script.answers.push_back(status(202));
  }
  run(note);
  ASSERT_EQ(deadlines.size(), 9u);
  EXPECT_EQ(deadlines[0], clock.now() + 10'000ms - 200ms);
  EXPECT_EQ(deadlines[1], clock.now() + 1'000ms - 100ms) << "a tenth of what is left";
  EXPECT_EQ(deadlines[2], clock.now() - 1'000ms) << "past already";
  for (int absent : {3, 4, 5, 6, 7}) EXPECT_EQ(deadlines[absent], std::nullopt) << absent;
  EXPECT_EQ(deadlines[8], clock.now() + 24h - 200ms) << "further than anybody lends";
}

// The slower handing in an answer has been of late, the earlier the next one ends.
TEST_F(LoopTest, LearnsTheMarginFromTheTimeThatHandingInTakes) {
  std::vector<std::chrono::nanoseconds> margins;
  const std::chrono::milliseconds times[] = {0ms, 300ms, 1ms, 1ms, 900ms, 0ms};
  std::size_t handed_in = 0;
  script.before_answer = [&](const Sent& sent) {
    if (sent.target != kNextPath) clock.advance(times[handed_in++]);
  };
  const auto ms = [&] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
        clock.wall_now().time_since_epoch());
  };
  // Events are made as they are asked for, sixty seconds before their deadlines.
  const Answer note = [&](std::string_view event, const InvocationContext& context,
                          Responder& responder) {
    margins.push_back(clock.now() + 60s - *context.deadline);
    return echo(event, context, responder);
  };
  auto at = ms();
  for (const auto time : times) {
    script.answers.push_back(
        event("{}", {{"Lambda-Runtime-Deadline-Ms", std::to_string((at + 60s).count())}}));
    script.answers.push_back(status(202));
    at += time;
  }
  run(note);
  ASSERT_EQ(margins.size(), 6u);
  EXPECT_EQ(margins[0], 200ms) << "nothing known yet";
  EXPECT_EQ(margins[1], 200ms) << "nor from what took no time at all";
  EXPECT_EQ(margins[2], 600ms) << "twice the slowest";
  EXPECT_EQ(margins[3], 2 * (300ms - std::chrono::nanoseconds(300ms) / 16)) << "slowly forgotten";
  EXPECT_LT(margins[4], margins[3]);
  EXPECT_EQ(margins[5], 1000ms) << "the most";
}

TEST_F(LoopTest, TellsOfEachInvocationAfterItsAnswer) {
  std::vector<std::string> told;
  options.invoked = [&](const Invoked& invoked) {
    told.push_back(std::string(invoked.request_id) + (invoked.outcome.error ? " failed" : "") +
                   " " + std::to_string(invoked.duration / 1ms));
    EXPECT_EQ(answers().size(), told.size());
  };
  script.answers = {event(), status(202), event(), status(202)};
  int calls = 0;
  run([&](std::string_view, const InvocationContext&, Responder&) {
    clock.advance(7ms);
    Outcome outcome;
    if (++calls == 2) outcome.error = {"Function.X", "x"};
    return outcome;
  });
  EXPECT_THAT(told, ElementsAre("id-1 7", "id-1 failed 7"));
}

TEST_F(LoopTest, TellsAnInvocationInProgressToHurryWhenItIsStopped) {
  script.answers = {event(), status(202)};
  run([&](std::string_view event, const InvocationContext& context, Responder& responder) {
    EXPECT_FALSE(*context.hurry);
    loop->stop();
    EXPECT_TRUE(*context.hurry);
    return echo(event, context, responder);
  });
  EXPECT_EQ(answers().size(), 1u);
}

TEST_F(LoopTest, ReportsAFailedInvocation) {
  script.answers = {event("{}", {{"Lambda-Runtime-Invocation-Id", "try-7"}}), status(202)};
  run([](std::string_view, const InvocationContext&, Responder&) {
    Outcome outcome;
    outcome.error = {"Function.UnsupportedEvent", "event: \"x\" is not known"};
    return outcome;
  });
  ASSERT_EQ(answers().size(), 1u);
  const Sent sent = answers()[0];
  EXPECT_EQ(sent.target, "/2018-06-01/runtime/invocation/id-1/error");
  EXPECT_EQ(sent.headers.get("Lambda-Runtime-Function-Error-Type"), "Function.UnsupportedEvent");
  EXPECT_EQ(sent.headers.get("Lambda-Runtime-Invocation-Id"), "try-7");
  EXPECT_EQ(nlohmann::json::parse(sent.body),
            nlohmann::json::parse(R"({"errorMessage":"event: \"x\" is not known",
                "errorType":"Function.UnsupportedEvent","stackTrace":[]})"));
  EXPECT_EQ(nlohmann::json::parse(*sent.headers.get("Lambda-Runtime-Function-XRay-Error-Cause")),
            nlohmann::json::parse(R"({"working_directory":"/var/task","paths":[],"exceptions":[
                {"message":"event: \"x\" is not known","type":"Function.UnsupportedEvent",
                 "stack":[]}]})"));
}

TEST_F(LoopTest, RefusesAnAnswerAboveTheLimitBeforeSendingIt) {
  script.answers = {event(), status(202), event(), status(202)};
  std::size_t bytes = kPayloadBytesMax;
  run([&](std::string_view, const InvocationContext&, Responder&) {
    Outcome outcome;
    outcome.body.assign(bytes++, 'x');
    return outcome;
  });
  ASSERT_EQ(answers().size(), 2u);
  EXPECT_EQ(answers()[0].body.size(), kPayloadBytesMax);
  EXPECT_THAT(answers()[1].target, HasSubstr("/error"));
  EXPECT_THAT(answers()[1].body, HasSubstr("Function.ResponseSizeTooLarge"));
  EXPECT_THAT(answers()[1].body, HasSubstr("6291457 bytes, Lambda takes 6291456"));
}

TEST_F(LoopTest, ReportsAnAnswerThatThePlatformFindsTooLarge) {
  script.answers = {event(), status(413), status(202), event(), status(202)};
  run(echo);
  ASSERT_EQ(answers().size(), 3u);
  EXPECT_THAT(answers()[1].target, HasSubstr("/error"));
  EXPECT_THAT(answers()[1].body, HasSubstr("Function.ResponseSizeTooLarge"));
}

TEST_F(LoopTest, GoesOnAfterAnAnswerThatIsRefused) {
  for (const int code : {400, 403, 404, 410}) {
    SCOPED_TRACE(code);
    script = {};
    script.answers = {event(), status(code), event(), status(202)};
    run(echo);
    EXPECT_EQ(answers().size(), 2u);
    EXPECT_EQ(nexts(), 3u);
  }
}

TEST_F(LoopTest, EndsAtOnceWhenThePlatformSays500) {
  script.answers = {status(500), event()};
  EXPECT_EQ(run(echo), Ending::kFailed);
  EXPECT_EQ(script.sent.size(), 1u);
  script = {};
  script.answers = {event(), status(500), event()};
  EXPECT_EQ(run(echo), Ending::kFailed);
  EXPECT_EQ(script.sent.size(), 2u);
}

TEST_F(LoopTest, SendsAnAnswerOnceMoreWhenItsConnectionBroke) {
  script.answers = {event("{}"), broken(), status(202), event(), status(202)};
  run(echo);
  ASSERT_EQ(answers().size(), 3u);
  EXPECT_EQ(answers()[0].target, answers()[1].target);
  EXPECT_EQ(answers()[1].body, "{}");
}

TEST_F(LoopTest, AsksAgainWithGrowingWaitsAndThenGivesUp) {
  const auto start = clock.now();
  for (int i = 0; i < 100; ++i) script.answers.push_back(fail(Code::kUnavailable, "refused"));
  EXPECT_EQ(run(echo), Ending::kFailed);
  EXPECT_EQ(script.sent.size(), 9u);
  EXPECT_EQ(clock.now() - start, 10ms + 20ms + 40ms + 80ms + 160ms + 320ms + 640ms + 1000ms);
}

TEST_F(LoopTest, CountsFailuresAnewAfterAnEvent) {
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 8; ++i) script.answers.push_back(broken());
    script.answers.push_back(event());
    script.answers.push_back(status(202));
  }
  run(echo);
  EXPECT_EQ(answers().size(), 3u);
}

TEST_F(LoopTest, TreatsAnEventWithoutARequestIdAsAFailureOfNext) {
  script.answers = {http::Response{200, {}, "{}", {}}, event(), status(202)};
  run(echo);
  EXPECT_EQ(answers().size(), 1u);
}

// A client's headers come through in an event's; the next event may be sound.
TEST_F(LoopTest, AsksAgainAfterWhatIsNotHttpOrHasNoEnd) {
  for (const Code code : {Code::kCorrupt, Code::kLimit}) {
    script = {};
    script.answers = {fail(code, "no good"), event(), status(202)};
    EXPECT_EQ(run(echo), Ending::kFailed);
    EXPECT_EQ(answers().size(), 1u);
  }
}

TEST_F(LoopTest, RefusesAnEventThatIsTooLargeAndGoesOn) {
  script.answers = {event(std::string(6u << 20, 'x')),
                    status(202),
                    event(std::string((6u << 20) + 100, 'x')),
                    status(202),
                    event(),
                    status(202)};
  int calls = 0;
  run([&](std::string_view, const InvocationContext&, Responder&) {
    ++calls;
    return Outcome{};
  });
  ASSERT_EQ(answers().size(), 3u);
  EXPECT_EQ(calls, 2);
  EXPECT_THAT(answers()[1].target, HasSubstr("/error"));
  EXPECT_THAT(answers()[1].body, HasSubstr("Function.RequestTooLarge"));
  EXPECT_THAT(answers()[1].body, HasSubstr("6291556 bytes, Lambda's limit is 6291456"));
}

TEST_F(LoopTest, StopsAtOnceWhileItWaits) {
  script.before_answer = [&](const Sent&) { loop->stop(); };
  script.answers = {event(), status(202)};
  EXPECT_EQ(run(echo), Ending::kStopped);
  EXPECT_EQ(script.interrupts, 1);
  EXPECT_EQ(script.sent.size(), 1u);
}

TEST_F(LoopTest, FinishesTheInvocationInProgressBeforeItStops) {
  script.answers = {event("{}"), status(202), event()};
  EXPECT_EQ(
      run([&](std::string_view event, const InvocationContext& context, Responder& responder) {
        loop->stop();
        return echo(event, context, responder);
      }),
      Ending::kStopped);
  EXPECT_EQ(answers().size(), 1u);
  EXPECT_EQ(script.interrupts, 0);
  EXPECT_EQ(nexts(), 1u);
}

// The event had come through when the signal arrived: it is accepted, so it is answered, over a
// connection of its own because the first will not serve again.
TEST_F(LoopTest, AnswersAnEventThatCameTogetherWithStop) {
  class Racing final : public Transport {
   public:
    Racing(Script& script, Loop*& loop) : inner_(script), loop_(loop) {}
    Result<http::Response> request(const http::Call& call) override {
      auto answer = inner_.request(call);
      if (call.target == kNextPath) loop_->stop();
      return answer;
    }
    Result<http::Response> request(const http::Call& call,
                                   const http::Client::Sink& sink) override {
      auto answer = inner_.request(call, sink);
      if (call.target == kNextPath) loop_->stop();
      return answer;
    }
    Result<Done> begin_chunked(const http::Call& call, std::string_view trailers) override {
      return inner_.begin_chunked(call, trailers);
    }
    Result<Done> write(std::string_view part) override { return inner_.write(part); }
    Result<http::Response> finish(const http::Fields& trailers) override {
      return inner_.finish(trailers);
    }
    const http::Response* early_answer() const override { return inner_.early_answer(); }
    void close() override { inner_.close(); }
    void interrupt() override { inner_.interrupt(); }

   private:
    FakeTransport inner_;
    Loop*& loop_;
  };
  Loop* raw = nullptr;
  script.answers = {event("{}"), status(202), event()};
  auto made = Loop::create(
      [&]() -> Result<std::unique_ptr<Transport>> {
        return std::unique_ptr<Transport>(std::make_unique<Racing>(script, raw));
      },
      echo, clock, options);
  raw = made->get();
  EXPECT_EQ(raw->run(), Ending::kStopped);
  EXPECT_EQ(script.connects, 2);
  ASSERT_EQ(answers().size(), 1u);
  EXPECT_EQ(answers()[0].body, "{}");
  EXPECT_EQ(script.answers.size(), 1u) << "the answer was taken, and nothing was asked after it";
}

TEST(InitError, IsPostedWithItsType) {
  Script script;
  script.answers = {status(202), status(403)};
  const Connect connect = [&]() -> Result<std::unique_ptr<Transport>> {
    return std::unique_ptr<Transport>(std::make_unique<FakeTransport>(script));
  };
  EXPECT_TRUE(report_init_error(connect, {"Runtime.NoSuchSnapshot", "open 'x': no such file"}));
  EXPECT_EQ(script.sent[0].target, "/2018-06-01/runtime/init/error");
  EXPECT_EQ(script.sent[0].headers.get(kErrorTypeHeader), "Runtime.NoSuchSnapshot");
  EXPECT_EQ(report_init_error(connect, {"x", "y"}).error().code, Code::kIo);
  EXPECT_EQ(script.sent[1].headers.get(kErrorTypeHeader), "Function.Unknown");
}

}  // namespace
}  // namespace thaw::lambda
