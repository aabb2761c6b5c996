// Streams: server-sent events for OpenAI's shapes, JSON lines for direct ones.
#include <gtest/gtest.h>

#include "fakes.h"

namespace thaw::handler {
namespace {

constexpr std::string_view kChat = R"({"messages":[{"role":"user","content":"Hi"}],"stream":true})";
constexpr std::string_view kChatUsage =
    R"({"messages":[{"role":"user","content":"Hi"}],"stream":true,)"
    R"("stream_options":{"include_usage":true}})";
constexpr std::string_view kDirect = R"({"prompt":"Hi","stream":true})";

Outcome chat(House& house, std::string_view body = kChat) {
  return house.handle(url_event("POST", "/v1/chat/completions", body));
}

std::string chat_event(const std::string& choices, const std::string& rest = "") {
  return R"(data: {"id":"chatcmpl-8476a536-e9f4-11e8-9739-2dfe598c3fcd",)"
         R"("object":"chat.completion.chunk","created":0,"model":"tiny","choices":[)" +
         choices + "]" + rest + "}\n\n";
}

std::string delta(const std::string& inside, const std::string& finish = "null") {
  return R"({"index":0,"delta":{)" + inside + R"(},"logprobs":null,"finish_reason":)" + finish +
         "}";
}

const std::string kChatStream = chat_event(delta(R"("role":"assistant","content":"")")) +
                                chat_event(delta(R"("content":"Hello")")) +
                                chat_event(delta(R"("content":", ")")) +
                                chat_event(delta(R"("content":"world")")) +
                                chat_event(delta("", "\"stop\"")) + "data: [DONE]\n\n";

const std::string kDirectEnd =
    R"({"finish_reason":"stop","usage":)"
    R"({"prompt_tokens":7,"completion_tokens":3,"cached_tokens":2},)"
    R"("timings":{"tokenise_ms":0.12,"prefix_ms":0.75,"read_ms":0,"prefill_ms":4.5,)"
    R"("first_token_ms":0,"decode_ms":31.25}})"
    "\n";

TEST(Stream, AChatIsRoleTextFinishAndDone) {
  House house;
  const Outcome outcome = chat(house);
  EXPECT_FALSE(outcome.error.has_value());
  EXPECT_TRUE(outcome.streamed);
  EXPECT_TRUE(outcome.body.empty());
  EXPECT_EQ(house.responder.text(), kChatStream);
  EXPECT_EQ(house.responder.writes.size(), 4u) << "each text goes out at once";
  EXPECT_EQ(outcome.usage.completion_tokens, 3u);
}

TEST(Stream, AnHttpAnswerHasAnHttpHead) {
  House house;
  chat(house);
  ASSERT_TRUE(house.responder.head.has_value());
  const StreamHead& head = *house.responder.head;
  EXPECT_EQ(head.content_type, "text/event-stream; charset=utf-8");
  ASSERT_TRUE(head.http.has_value());
  EXPECT_EQ(head.http->status, 200);
  EXPECT_EQ(head.http->headers, (std::vector<std::pair<std::string, std::string>>{
                                    {"content-type", "text/event-stream; charset=utf-8"},
                                    {"cache-control", "no-cache"},
                                    {"x-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"}}));
}

TEST(Stream, UsageComesInAnEventOfItsOwn) {
  House house;
  chat(house, kChatUsage);
  const std::string null = R"(,"usage":null)";
  EXPECT_EQ(
      house.responder.text(),
      chat_event(delta(R"("role":"assistant","content":"")"), null) +
          chat_event(delta(R"("content":"Hello")"), null) +
          chat_event(delta(R"("content":", ")"), null) +
          chat_event(delta(R"("content":"world")"), null) +
          chat_event(delta("", "\"stop\""), null) +
          chat_event("", R"(,"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,)"
                         R"("prompt_tokens_details":{"cached_tokens":2},)"
                         R"("prompt_cache_hit_tokens":2,"prompt_cache_miss_tokens":5})") +
          "data: [DONE]\n\n");
}

TEST(Stream, ATextCompletionHasNoRole) {
  House house;
  house.generator.pieces = {"a"};
  house.handle(url_event("POST", "/v1/completions", R"({"prompt":"Hi","stream":true})"));
  const std::string start =
      R"(data: {"id":"cmpl-8476a536-e9f4-11e8-9739-2dfe598c3fcd","object":"text_completion",)"
      R"("created":0,"model":"tiny","choices":[{"index":0,)";
  EXPECT_EQ(house.responder.text(),
            start + R"("text":"a","logprobs":null,"finish_reason":null}]})" + "\n\n" + start +
                R"("text":"","logprobs":null,"finish_reason":"stop"}]})" + "\n\ndata: [DONE]\n\n");
}

TEST(Stream, ADirectEventIsALineEach) {
  House house;
  const Outcome outcome = house.handle(kDirect);
  EXPECT_TRUE(outcome.streamed);
  EXPECT_EQ(outcome.content_type, "application/x-ndjson");
  EXPECT_EQ(house.responder.text(),
            "{\"text\":\"Hello\"}\n{\"text\":\", \"}\n{\"text\":\"world\"}\n" + kDirectEnd);
  ASSERT_TRUE(house.responder.head.has_value());
  EXPECT_EQ(house.responder.head->content_type, "application/x-ndjson");
  EXPECT_FALSE(house.responder.head->http.has_value());
}

TEST(Stream, PredictStreamsLinesOverHttp) {
  House house;
  house.handle(url_event("POST", "/predict", kDirect));
  EXPECT_EQ(house.responder.head->http->headers[0].second, "application/x-ndjson");
  EXPECT_TRUE(house.responder.text().ends_with(kDirectEnd));
}

TEST(Stream, WithoutTextItStillHasABeginAndAnEnd) {
  House house;
  house.generator.pieces = {"", ""};
  chat(house);
  EXPECT_EQ(house.responder.text(), chat_event(delta(R"("role":"assistant","content":"")")) +
                                        chat_event(delta("", "\"stop\"")) + "data: [DONE]\n\n");
}

TEST(Stream, IsHeldBackWhereThePlatformCannot) {
  for (const bool by_manifest : {false, true}) {
    House house;
    house.responder.streams = by_manifest;
    house.manifest.buffered = by_manifest;
    const Outcome outcome = chat(house);
    EXPECT_FALSE(outcome.streamed);
    EXPECT_FALSE(house.responder.head.has_value());
    HttpAnswer answer = answer_of(outcome);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers["content-type"], "text/event-stream; charset=utf-8");
    EXPECT_EQ(answer.headers["x-request-id"], house.request_id);
    EXPECT_EQ(answer.body, kChatStream);
  }
}

TEST(Stream, IsHeldBackWhereTheSourceCannot) {
  for (const std::string_view event :
       {R"({"requestContext":{"elb":{}},"httpMethod":"POST","path":"/v1/chat/completions",)"
        R"("headers":{},"body":"{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],)"
        R"(\"stream\":true}"})",
        R"({"version":"v1","rawPath":"/v1/chat/completions","headers":{},)"
        R"("requestContext":{"http":{"method":"POST"}},)"
        R"("body":"{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"stream\":true}"})"}) {
    House house;
    const Outcome outcome = house.handle(event);
    EXPECT_FALSE(outcome.streamed);
    EXPECT_EQ(answer_of(outcome).body, kChatStream);
  }
}

TEST(Stream, ADirectEventThatCannotStreamIsOneDocument) {
  House house;
  house.responder.streams = false;
  const Outcome outcome = house.handle(kDirect);
  EXPECT_FALSE(outcome.streamed);
  EXPECT_EQ(outcome.content_type, "application/json");
  EXPECT_EQ(at(outcome.body, "/text"), "\"Hello, world\"");
}

TEST(Stream, NobodyAskedForOne) {
  House house;
  chat(house, R"({"messages":[{"role":"user","content":"Hi"}],"stream":false})");
  house.handle(R"({"prompt":"Hi"})");
  EXPECT_FALSE(house.responder.head.has_value());
}

TEST(Stream, WhatFailsBeforeItIsAnOrdinaryError) {
  House house;
  house.generator.error = fail(Code::kLimit, "prompt: 70 tokens, the context has 64");
  const Outcome outcome = chat(house);
  EXPECT_FALSE(outcome.streamed);
  EXPECT_FALSE(house.responder.head.has_value());
  EXPECT_FALSE(outcome.error.has_value());
  EXPECT_EQ(at(outcome.body, "/statusCode"), "400");
  const Outcome direct = house.handle(kDirect);
  ASSERT_TRUE(direct.error.has_value());
  EXPECT_EQ(direct.error->type, "Function.InvalidRequest");
  EXPECT_FALSE(direct.streamed);
}

TEST(Stream, AnErrorInTheMiddleIsTheLastEvent) {
  House house;
  house.generator.error = fail(Code::kCorrupt, "a logit is not finite");
  house.generator.error_after_pieces = 1;
  const Outcome outcome = chat(house);
  EXPECT_TRUE(outcome.streamed);
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->type, "Function.GenerationFailed");
  EXPECT_EQ(house.responder.text(),
            chat_event(delta(R"("role":"assistant","content":"")")) +
                chat_event(delta(R"("content":"Hello")")) +
                R"(data: {"error":{"message":"a logit is not finite","type":"server_error",)"
                R"("param":null,"code":"corrupt"}})"
                "\n\ndata: [DONE]\n\n");
}

TEST(Stream, AnErrorInTheMiddleOfLinesIsTheLastLine) {
  House house;
  house.generator.error = fail(Code::kCorrupt, "a logit is not finite");
  house.generator.error_after_pieces = 2;
  const Outcome outcome = house.handle(kDirect);
  EXPECT_TRUE(outcome.streamed);
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_TRUE(house.responder.text().ends_with(
      "{\"text\":\", \"}\n"
      R"({"error":{"message":"a logit is not finite","type":"server_error","param":null,)"
      R"("code":"corrupt"}})"
      "\n"));
}

TEST(Stream, AnErrorInTheMiddleOfOneHeldBackIsTheLastEvent) {
  House house;
  house.responder.streams = false;
  house.generator.error = fail(Code::kCorrupt, "a logit is not finite");
  house.generator.error_after_pieces = 1;
  const HttpAnswer answer = answer_of(chat(house));
  EXPECT_EQ(answer.status, 200) << "as the stream itself would have begun";
  const std::string& body = answer.body;
  EXPECT_NE(body.find(R"("content":"Hello")"), std::string::npos);
  EXPECT_TRUE(body.ends_with("\"code\":\"corrupt\"}}\n\ndata: [DONE]\n\n"));
}

TEST(Stream, AClientThatGoesAwayStopsTheGenerator) {
  for (const std::size_t writes : {0u, 1u, 2u}) {
    House house;
    house.responder.write_error = fail(Code::kCancelled, "gone");
    house.responder.writes_before_error = writes;
    const Outcome outcome = chat(house);
    EXPECT_TRUE(outcome.streamed);
    EXPECT_FALSE(outcome.error.has_value()) << "to go away is no failure";
    EXPECT_EQ(house.generator.pieces_taken, writes + 1);
    EXPECT_EQ(house.responder.writes.size(), writes);
  }
}

TEST(Stream, AClientThatIsGoneAtTheBeginStopsTheGenerator) {
  House house;
  house.responder.begin_error = fail(Code::kCancelled, "gone");
  const Outcome outcome = house.handle(kDirect);
  EXPECT_TRUE(outcome.streamed);
  EXPECT_FALSE(outcome.error.has_value());
  EXPECT_EQ(house.generator.pieces_taken, 1u);
  EXPECT_TRUE(house.responder.writes.empty());
}

// A generation that takes its time before each piece.
void take(House& house, std::chrono::nanoseconds time) {
  house.generator.before_piece = [&house, time](std::size_t) { house.clock.advance(time); };
}

TEST(Stream, CommentsKeepASlowOneAlive) {
  House house;
  take(house, std::chrono::seconds(10));
  chat(house);
  EXPECT_EQ(house.responder.text(),
            chat_event(delta(R"("role":"assistant","content":"")")) + ": keep-alive\n\n" +
                chat_event(delta(R"("content":"Hello")")) + ": keep-alive\n\n" +
                chat_event(delta(R"("content":", ")")) + ": keep-alive\n\n" +
                chat_event(delta(R"("content":"world")")) + chat_event(delta("", "\"stop\"")) +
                "data: [DONE]\n\n");
}

TEST(Stream, ALongPrefillBeginsWithAComment) {
  House house;
  house.generator.on_generate = [&](const GenerationRequest&) {
    house.clock.advance(std::chrono::seconds(11));
  };
  chat(house);
  EXPECT_TRUE(house.responder.text().starts_with(
      chat_event(delta(R"("role":"assistant","content":"")")) + ": keep-alive\n\n"))
      << house.responder.text();
  EXPECT_EQ(house.responder.head->http->status, 200);
}

TEST(Stream, AnErrorBehindACommentIsTheLastEvent) {
  House house;
  house.generator.on_generate = [&](const GenerationRequest& request) {
    house.clock.advance(std::chrono::seconds(11));
    EXPECT_TRUE(request.wanted());
  };
  house.generator.error = fail(Code::kCorrupt, "a logit is not finite");
  const Outcome outcome = chat(house);
  EXPECT_TRUE(outcome.streamed);
  EXPECT_TRUE(house.responder.text().ends_with("\"code\":\"corrupt\"}}\n\ndata: [DONE]\n\n"));
}

TEST(Stream, LinesHaveNoComments) {
  House house;
  take(house, std::chrono::seconds(30));
  house.handle(kDirect);
  EXPECT_EQ(house.responder.text(),
            "{\"text\":\"Hello\"}\n{\"text\":\", \"}\n{\"text\":\"world\"}\n" + kDirectEnd);
}

TEST(Stream, AClientThatIsKnownToBeGoneStopsTheGeneratorBeforeItWrites) {
  for (const bool stream : {false, true}) {
    House house;
    house.responder.is_alive = false;
    const Outcome outcome =
        house.handle(url_event("POST", "/predict", stream ? kDirect : R"({"prompt":"Hi"})"));
    EXPECT_FALSE(outcome.error.has_value());
    EXPECT_EQ(house.generator.pieces_taken, 0u);
    EXPECT_TRUE(house.responder.writes.empty());
  }
}

TEST(Stream, AConnectionThatBreaksFailsTheInvocation) {
  House house;
  house.responder.write_error = fail(Code::kIo, "write: connection reset");
  house.responder.writes_before_error = 1;
  const Outcome outcome = house.handle(kDirect);
  EXPECT_TRUE(outcome.streamed);
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->type, "Function.GenerationFailed");
  EXPECT_EQ(outcome.error->message, "write: connection reset");
}

TEST(Stream, EveryEventIsJsonWhateverTheText) {
  House house;
  house.generator.pieces = {"line\n\ndata: [DONE]\n\n", "\xFF", "\"}"};
  chat(house);
  const std::string text = house.responder.text();
  std::size_t events = 0;
  std::string all;
  for (std::size_t from = 0; from < text.size(); ++events) {
    const std::size_t end = text.find("\n\n", from);
    ASSERT_NE(end, std::string::npos);
    const std::string event = text.substr(from, end - from);
    ASSERT_TRUE(event.starts_with("data: "));
    from = end + 2;
    if (event == "data: [DONE]") continue;
    all += at(event.substr(6), "/choices/0/delta/content");
  }
  EXPECT_EQ(events, 6u);
  EXPECT_EQ(all, R"("""line\n\ndata: [DONE]\n\n")"
                 "\"\xEF\xBF\xBD\""
                 R"("\"}")");
}

}  // namespace
}  // namespace thaw::handler
