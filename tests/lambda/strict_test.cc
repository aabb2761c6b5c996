// The loop over a real socket against a Runtime API that is strict about every byte it is sent and
// free with what it sends: a table of faults, each at every point where it can happen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "base/str.h"
#include "runtime/lambda/loop.h"
#include "runtime/lambda/protocol.h"
#include "strict_api.h"

namespace thaw::lambda {
namespace {

using namespace std::chrono_literals;
using handler::InvocationContext;
using handler::Outcome;
using handler::Responder;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

Outcome echo(std::string_view event, const InvocationContext&, Responder&) {
  Outcome outcome;
  outcome.body = event;
  return outcome;
}

Outcome fails(std::string_view, const InvocationContext&, Responder&) {
  Outcome outcome;
  outcome.error = {"Function.Bad", "event 'prompt': \"\x01\xff\" is no text"};
  return outcome;
}

// The event in parts of seven bytes, and a failure at the end where the event says so.
Outcome stream(std::string_view event, const InvocationContext&, Responder& responder) {
  Outcome outcome;
  outcome.streamed = true;
  if (!responder.begin({.content_type = "text/plain", .http = {}})) {
    outcome.error = {"Function.GenerationFailed", "cannot begin"};
    return outcome;
  }
  for (std::size_t at = 0; at < event.size(); at += 7) {
    if (!responder.write(event.substr(at, 7))) return outcome;
  }
  if (event.find("fail") != event.npos) outcome.error = {"Function.GenerationFailed", "it broke"};
  return outcome;
}

struct Ran {
  Ending ending;
  std::vector<Posted> posted;
  std::size_t bytes_of_next = 0;
  // Of the answers that came in, the bodies in order.
  std::vector<std::string> bodies() const {
    std::vector<std::string> all;
    for (const Posted& each : posted) all.push_back(each.body);
    return all;
  }
};

Ran run(std::vector<Exchange> exchanges, Answer answer = echo, bool strict = true) {
  StrictApi api(std::move(exchanges));
  LoopOptions options;
  options.retry_wait = options.retry_wait_max = 0ms;
  auto loop = Loop::create(connect_to(api.authority()), std::move(answer), system_clock(), options);
  EXPECT_TRUE(loop);
  const Ending ending = (*loop)->run();
  EXPECT_TRUE(!strict || api.violations().empty()) << testing::PrintToString(api.violations());
  return {ending, api.posted(), api.bytes_of_next()};
}

Exchange event(std::string id, std::string body) {
  Exchange exchange;
  exchange.request_id = std::move(id);
  exchange.event = std::move(body);
  return exchange;
}

// An exchange with one fault, and a sound one behind it that shows that the loop went on.
std::vector<Exchange> and_then(Exchange faulty) {
  return {std::move(faulty), event("after", R"({"after":1})")};
}

const std::string kAfter = R"({"after":1})";

TEST(Strict, AnswersFiftyEventsOverOneConnectionToTheLetter) {
  std::vector<Exchange> exchanges;
  std::vector<std::string> wanted;
  for (int i = 0; i < 50; ++i) {
    exchanges.push_back(event(cat("id-", i), cat("{\"n\":", i, "}")));
    if (i % 3 == 0) exchanges.back().invocation_id = cat("try-", i);
    wanted.push_back(exchanges.back().event);
  }
  for (const Answer& answer : {Answer(echo), Answer(stream)}) {
    const Ran ran = run(exchanges, answer);
    EXPECT_EQ(ran.ending, Ending::kFailed) << "the script's end is a 500";
    EXPECT_EQ(ran.bodies(), wanted);
  }
}

TEST(Strict, ReportsFailuresToTheLetter) {
  const Ran ran = run({event("a", "{}"), event("b", "{}")}, fails);
  ASSERT_EQ(ran.posted.size(), 2u);
  EXPECT_EQ(ran.posted[1].verb, "error");
  EXPECT_EQ(ran.posted[1].headers.get(kErrorTypeHeader), "Function.Bad");
}

// What is said to a post -> what the runtime does next.
struct Status {
  const char* reply;
  Ending ending_at_once;  // kFailed: at once; kStopped: it goes on
  bool reports;           // an error after a response
};
constexpr Status kStatuses[] = {
    {"200", Ending::kStopped, false}, {"202", Ending::kStopped, false},
    {"204", Ending::kStopped, false}, {"299", Ending::kStopped, false},
    {"301", Ending::kStopped, false}, {"400", Ending::kStopped, false},
    {"403", Ending::kStopped, false}, {"404", Ending::kStopped, false},
    {"410", Ending::kStopped, false}, {"413", Ending::kStopped, true},
    {"429", Ending::kStopped, false}, {"500", Ending::kFailed, false},
    {"502", Ending::kStopped, false}, {"503", Ending::kStopped, false},
};

TEST(Strict, EveryStatusOfEveryPost) {
  for (const Status& status : kStatuses) {
    for (const auto& [name, answer] :
         {std::pair<const char*, Answer>("response", echo), {"error", fails}, {"stream", stream}}) {
      SCOPED_TRACE(cat(name, " ", status.reply));
      Exchange first = event("id-1", R"({"a":1})");
      first.reply = status.reply;
      if (first.reply == "204") first.reply = "HTTP/1.1 204 No Content\r\n\r\n";
      const Ran ran = run(and_then(first), answer);
      const bool ends = status.ending_at_once == Ending::kFailed;
      const bool reports = status.reports && std::string_view(name) == "response";
      ASSERT_EQ(ran.posted.size(), ends ? 1u : reports ? 3u : 2u);
      EXPECT_EQ(ran.ending, Ending::kFailed);
      if (reports) {
        EXPECT_EQ(ran.posted[1].verb, "error");
        EXPECT_EQ(ran.posted[1].headers.get(kErrorTypeHeader), "Function.ResponseSizeTooLarge");
      }
    }
  }
}

TEST(Strict, EveryStatusOfNext) {
  for (const char* status : {"400", "403", "404", "410", "429", "502", "503", "301"}) {
    SCOPED_TRACE(status);
    Exchange first = event("id-1", R"({"a":1})");
    first.before = {status, status};
    EXPECT_THAT(run(and_then(first)).bodies(), ElementsAre(first.event, kAfter));
  }
  Exchange first = event("id-1", R"({"a":1})");
  first.before = {"500"};
  EXPECT_THAT(run(and_then(first)).bodies(), IsEmpty()) << "500 is the word for exit";
}

// What counts as a failure of /next, after which the event is asked for once more.
TEST(Strict, WhatIsNoEventIsAskedForAgain) {
  for (const std::string_view said :
       {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",  // no request id
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id:\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: x\r\nContent-Length: nine\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: x\r\nContent-Length: 1\r\n"
        "Content-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: x\r\n"
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n"}) {
    Exchange first = event("id-1", R"({"a":1})");
    first.before = {std::string(said)};
    EXPECT_THAT(run(and_then(first)).bodies(), ElementsAre(first.event, kAfter)) << said;
  }
}

TEST(Strict, TakesAnswersOfNextInEveryShape) {
  const std::string id = "Lambda-Runtime-Aws-Request-Id: id-1\r\n";
  const std::string heads[] = {
      "HTTP/1.1 200 OK\r\n" + id + "Content-Length: 7\r\n\r\n",
      "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id:id-1\r\ncontent-length:7\r\n\r\n",
      "HTTP/1.1 200 OK\r\nLAMBDA-RUNTIME-AWS-REQUEST-ID: \t id-1 \t\r\nCONTENT-LENGTH: 7\r\n\r\n",
      "HTTP/1.1 200 \r\n" + id + "Content-Length: 7\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + id + "Content-Length: 7\r\n\r\n",
      "HTTP/1.1 200 OK\r\n" + id + "X-Note: \xc3\xa4\x01\x7f\r\nContent-Length: 7\r\n\r\n",
      "HTTP/1.1 200 OK\r\n" + id + "Lambda-Runtime-Client-Context: " + std::string(1 << 20, 'c') +
          "\r\nContent-Length: 7\r\n\r\n",
  };
  for (const std::string& head : heads) {
    Exchange first = event("id-1", R"({"a":1})");
    first.raw_next = head + first.event;
    EXPECT_THAT(run(and_then(first)).bodies(), ElementsAre(first.event, kAfter))
        << head.substr(0, 200);
  }
  // Bodies that end with their connection, and peers that close after each answer.
  for (const char* end : {"HTTP/1.0 200 OK\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n"}) {
    Exchange first = event("id-1", R"({"a":1})");
    first.raw_next = cat(end, id, "\r\n", first.event);
    first.next_cut = kNever - 1;  // all of it, and then no more
    first.reply = "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    const Ran ran = run(and_then(first), echo, false);
    ASSERT_FALSE(ran.posted.empty()) << end;
    EXPECT_EQ(ran.posted.back().body, kAfter);
  }
}

TEST(Strict, TakesEventsInAnyPiecesAndChunks) {
  for (const bool chunked : {false, true}) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{7}, kNever}) {
      Exchange first = event("id-1", R"({"text":"some words in small pieces"})");
      first.chunked = chunked;
      first.piece = piece;
      Exchange empty = event("id-2", "");
      empty.chunked = chunked;
      empty.piece = piece;
      EXPECT_THAT(run({first, empty, event("after", kAfter)}).bodies(),
                  ElementsAre(first.event, "", kAfter))
          << chunked << " " << piece;
    }
  }
}

TEST(Strict, TakesTheEventsHeadersAsTheyCome) {
  Exchange odd = event("id-1", "{}");
  odd.fields = {"lambda-runtime-deadline-ms: soon",    "Lambda-Runtime-Trace-Id:",
                "Lambda-Runtime-Cognito-Identity: {}", "Lambda-Runtime-Aws-Tenant-Id: t",
                "Lambda-Runtime-Aws-Request-Id: id-2", "X-Empty:"};
  odd.invocation_id = "\"try\" 1; \xc3\xa4";
  EXPECT_THAT(run(and_then(odd)).bodies(), ElementsAre("{}", kAfter)) << "the first of two ids";
}

// Ids that make no path of their own: the answer cannot be handed in, and the loop goes on.
TEST(Strict, GoesOnAfterAnIdThatNoPathCanHold) {
  for (const char* id : {"a b", "\xc3\xa4 b", "a\tb"}) {
    Exchange first = event(id, "{}");
    first.may_be_lost = true;
    EXPECT_THAT(run(and_then(first)).bodies(), ElementsAre(kAfter)) << id;
  }
}

TEST(Strict, HandsInAnswersOfEverySizeUpToTheLimit) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{131'071},
                                  std::size_t{131'072}, std::size_t{131'073}, kPayloadBytesMax}) {
    const Answer answer = [&](std::string_view, const InvocationContext&, Responder&) {
      Outcome outcome;
      outcome.body.assign(bytes, 'x');
      return outcome;
    };
    const Ran ran = run({event("id-1", "{}")}, answer);
    ASSERT_EQ(ran.posted.size(), 1u) << bytes;
    EXPECT_EQ(ran.posted[0].body.size(), bytes);
  }
}

TEST(Strict, TakesAWordInTheMiddleOfAStreamForTheEndOfIt) {
  const std::string event_text = R"({"text":"some forty bytes, which are more"})";
  for (const char* reply : {"410", "413", "400", "202"}) {
    for (std::size_t at = 0; at < event_text.size(); at += 5) {
      Exchange first = event("id-1", event_text);
      first.reply = reply;
      first.reply_early = at;
      EXPECT_EQ(run(and_then(first), stream).posted.back().body, kAfter) << reply << " " << at;
    }
  }
}

TEST(Strict, ReportsAFailureInTheMiddleOfAStreamByTrailers) {
  const Ran ran = run(and_then(event("id-1", R"({"text":"fail"})")), stream);
  ASSERT_EQ(ran.posted.size(), 2u);
  EXPECT_EQ(ran.posted[0].trailers.get(kErrorTypeHeader), "Function.GenerationFailed");
  EXPECT_EQ(ran.posted[0].body, R"({"text":"fail"})");
  EXPECT_TRUE(ran.posted[1].trailers.empty());
}

// An event that was not wholly handed out is asked for again, and answered once.
TEST(Strict, SurvivesAResetAtEveryByteOfAnEvent) {
  for (const bool chunked : {false, true}) {
    Exchange first = event("id-1", R"({"a":1})");
    first.chunked = chunked;
    first.next_cut = 0;
    const std::size_t bytes = run(and_then(first)).bytes_of_next;
    ASSERT_GT(bytes, 50u);
    for (std::size_t cut = 0; cut < bytes; ++cut) {
      first.next_cut = cut;
      // A reset may overtake what was said before it, so that the last bytes are lost as well.
      ASSERT_THAT(run(and_then(first)).bodies(), ElementsAre(first.event, kAfter)) << cut;
    }
  }
}

// A whole answer is sent once more over a new connection.
TEST(Strict, SurvivesAResetAtEveryByteOfAnAnswer) {
  for (const Answer& answer : {Answer(echo), Answer(fails)}) {
    Exchange first = event("id-1", R"({"a":1})");
    const std::size_t bytes = run(and_then(first), answer).posted.at(0).bytes;
    ASSERT_GT(bytes, 100u);
    for (std::size_t cut = 0; cut < bytes; ++cut) {
      first.post_cut = cut;
      const Ran ran = run(and_then(first), answer);
      ASSERT_EQ(ran.posted.size(), 2u) << cut;
      ASSERT_EQ(ran.posted[0].request_id, "id-1") << cut;
    }
  }
}

TEST(Strict, SendsAnAnswerTwiceWhereTheReplyIsLostAndTakesTheRefusal) {
  Exchange first = event("id-1", R"({"a":1})");
  first.lose_reply = true;
  EXPECT_THAT(run(and_then(first)).bodies(), ElementsAre(first.event, kAfter));
}

// A stream that broke is lost (half of it may have been told already), unless it had not begun.
TEST(Strict, SurvivesAResetAtEveryByteOfAStream) {
  Exchange first = event("id-1", R"({"text":"some words"})");
  const std::size_t bytes = run(and_then(first), stream).posted.at(0).bytes;
  ASSERT_GT(bytes, 200u);
  first.may_be_lost = true;
  for (std::size_t cut = 0; cut < bytes; ++cut) {
    first.post_cut = cut;
    const Ran ran = run(and_then(first), stream);
    ASSERT_FALSE(ran.posted.empty()) << cut;
    ASSERT_EQ(ran.posted.back().body, kAfter) << cut;
    // Whatever came in for the first is whole, or an error that says that it is not.
    if (ran.posted.size() == 2 && ran.posted[0].verb == "response") {
      ASSERT_EQ(ran.posted[0].body, first.event) << cut;
    }
  }
}

// Everything at once, drawn anew each time; the loop must come through to the last event.
TEST(Strict, SurvivesFaultsInAnyOrder) {
  const std::uint64_t seed = testing::UnitTest::GetInstance()->random_seed();
  RecordProperty("seed", std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Random random(seed);
  std::vector<Exchange> exchanges;
  for (int i = 0; i < 300; ++i) {
    Exchange exchange = event(cat("id-", i), cat(R"({"text":")", std::string(random.below(90), 'x'),
                                                 random.below(5) == 0 ? "fail" : "", "\"}"));
    exchange.may_be_lost = true;
    exchange.chunked = random.below(2) == 0;
    if (random.below(3) == 0) exchange.piece = 1 + random.below(40);
    if (random.below(4) == 0) exchange.next_cut = random.below(300);
    if (random.below(4) == 0) exchange.post_cut = random.below(400);
    if (random.below(6) == 0) exchange.lose_reply = true;
    if (random.below(6) == 0) exchange.reply_early = random.below(60);
    const char* const replies[] = {"202", "202", "400", "403", "410", "413", "503"};
    exchange.reply = replies[random.below(7)];
    exchanges.push_back(std::move(exchange));
  }
  exchanges.push_back(event("after", kAfter));
  std::size_t calls = 0;
  const Ran ran = run(
      exchanges,
      [&](std::string_view event, const InvocationContext& context, Responder& responder) {
        const Answer answers[] = {echo, fails, stream};
        return answers[event == kAfter ? 0 : calls++ % 3](event, context, responder);
      },
      false);
  ASSERT_FALSE(ran.posted.empty());
  EXPECT_EQ(ran.posted.back().body, kAfter);
}

}  // namespace
}  // namespace thaw::lambda
