// Direct events: {"prompt"} and {"messages"}.
#include <gtest/gtest.h>

#include "fakes.h"
#include "handler/request.h"

namespace thaw::handler {
namespace {

using namespace std::chrono_literals;

const std::vector<text::Message>& messages_of(const GenerationRequest& request) {
  return std::get<std::vector<text::Message>>(request.prompt);
}

TEST(DirectEvent, IsAnsweredWithTextFinishReasonUsageAndTimings) {
  House house;
  const Outcome outcome = house.handle(R"({"prompt":"Hi"})");
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_FALSE(outcome.streamed);
  EXPECT_EQ(outcome.content_type, "application/json");
  EXPECT_EQ(outcome.body,
            R"({"text":"Hello, world","finish_reason":"stop",)"
            R"("usage":{"prompt_tokens":7,"completion_tokens":3,"cached_tokens":2},)"
            R"("timings":{"tokenise_ms":0.12,"prefix_ms":0.75,"read_ms":0,"prefill_ms":4.5,)"
            R"("first_token_ms":0,"decode_ms":31.25}})");
  EXPECT_EQ(outcome.usage.prompt_tokens, 7u);
  EXPECT_EQ(outcome.usage.completion_tokens, 3u);
  EXPECT_EQ(outcome.usage.cached_tokens, 2u);
}

TEST(DirectEvent, NamesEveryFinishReason) {
  for (const FinishReason reason :
       {FinishReason::kStop, FinishReason::kLength, FinishReason::kDeadline}) {
    House house;
    house.generator.finish_reason = reason;
    EXPECT_NE(house.handle(R"({"prompt":"Hi"})")
                  .body.find("\"finish_reason\":\"" + std::string(name_of(reason)) + "\""),
              std::string::npos);
  }
}

TEST(DirectEvent, APromptIsAUserMessageForChatAndRawTextForComplete) {
  House chat;
  chat.handle(R"({"prompt":"Hi \u00e9"})");
  ASSERT_EQ(messages_of(chat.generator.requests.at(0)).size(), 1u);
  EXPECT_EQ(messages_of(chat.generator.requests[0])[0].role, "user");
  EXPECT_EQ(messages_of(chat.generator.requests[0])[0].content, "Hi é");
  House complete;
  complete.manifest.task = "complete";
  complete.manifest.system = "unused by raw text";
  complete.handle(R"({"prompt":"Once upon"})");
  EXPECT_EQ(std::get<std::string>(complete.generator.requests.at(0).prompt), "Once upon");
}

TEST(DirectEvent, TheManifestsSystemPromptComesFirstUnlessTheEventBringsOne) {
  House house;
  house.manifest.system = "Be brief.";
  house.handle(R"({"prompt":"Hi"})");
  house.handle(R"({"messages":[{"role":"user","content":"Hi"}]})");
  house.handle(
      R"({"messages":[{"role":"system","content":"Rhyme."},{"role":"user","content":"Hi"}]})");
  house.handle(
      R"({"messages":[{"role":"developer","content":"D"},{"role":"user","content":"Hi"}]})");
  for (const std::size_t i : {0u, 1u}) {
    ASSERT_EQ(messages_of(house.generator.requests.at(i)).size(), 2u);
    EXPECT_EQ(messages_of(house.generator.requests[i])[0].role, "system");
    EXPECT_EQ(messages_of(house.generator.requests[i])[0].content, "Be brief.");
    EXPECT_EQ(messages_of(house.generator.requests[i])[1].content, "Hi");
  }
  EXPECT_EQ(messages_of(house.generator.requests.at(2))[0].content, "Rhyme.");
  ASSERT_EQ(messages_of(house.generator.requests.at(3)).size(), 2u);
  EXPECT_EQ(messages_of(house.generator.requests[3])[0].role, "system");
  EXPECT_EQ(messages_of(house.generator.requests[3])[0].content, "D");
}

TEST(DirectEvent, OptionsReachTheGenerator) {
  House house;
  house.handle(R"({"prompt":"Hi","max_tokens":12,"temperature":0.5,"top_p":0.75,"top_k":40,
    "min_p":0.125,"seed":99,"stop":["\n\n","END"],"presence_penalty":0.5,"frequency_penalty":-1,
    "repetition_penalty":1.25,"logit_bias":{"5":-100,"17":2.5},"enable_thinking":false,
    "something_else":{"ignored":true}})");
  ASSERT_EQ(house.generator.requests.size(), 1u);
  const GenerationRequest& request = house.generator.requests[0];
  EXPECT_EQ(request.max_tokens, 12u);
  EXPECT_EQ(request.sampling.temperature, 0.5f);
  EXPECT_EQ(request.sampling.top_p, 0.75f);
  EXPECT_EQ(request.sampling.top_k, 40u);
  EXPECT_EQ(request.sampling.min_p, 0.125f);
  EXPECT_EQ(request.sampling.seed, 99u);
  EXPECT_EQ(request.sampling.presence_penalty, 0.5f);
  EXPECT_EQ(request.sampling.frequency_penalty, -1.0f);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.25f);
  EXPECT_EQ(request.sampling.logit_bias, (std::map<text::Token, float>{{5, -100.0f}, {17, 2.5f}}));
  EXPECT_EQ(request.stop, (std::vector<std::string>{"\n\n", "END"}));
  EXPECT_EQ(request.enable_thinking, false);
}

TEST(DirectEvent, TheManifestsDefaultsHoldForWhatItLeavesOut) {
  House house;
  house.manifest.max_tokens = 33;
  house.manifest.sampling.temperature = 0.7f;
  house.manifest.sampling.top_k = 5;
  house.manifest.sampling.seed = 1234;
  house.manifest.seeded = true;
  house.handle(R"({"prompt":"Hi","top_k":null})");
  const GenerationRequest& request = house.generator.requests.at(0);
  EXPECT_EQ(request.max_tokens, 33u);
  EXPECT_EQ(request.sampling.temperature, 0.7f);
  EXPECT_EQ(request.sampling.top_k, 5u);
  EXPECT_EQ(request.sampling.seed, 1234u);
  EXPECT_FALSE(request.enable_thinking.has_value());
  EXPECT_FALSE(request.deadline.has_value());
}

TEST(DirectEvent, ASeedThatNobodyGaveFollowsTheRequestId) {
  House house;
  house.handle(R"({"prompt":"Hi"})");
  house.handle(R"({"prompt":"Hi"})");
  house.request_id = "another";
  house.handle(R"({"prompt":"Hi"})");
  const auto seed = [&](std::size_t i) { return house.generator.requests.at(i).sampling.seed; };
  EXPECT_EQ(seed(0), seed(1));
  EXPECT_NE(seed(0), seed(2));
  EXPECT_EQ(seed(2), seed_of("another"));
  EXPECT_EQ(seed_of("a"), 0xaf63dc4c8601ec8cu) << "FNV-1a's own test vector";
}

TEST(DirectEvent, GenerationEndsBeforeThePlatformsDeadline) {
  House house;
  house.clock.advance(1h);
  house.deadline = house.clock.now() + 60s;
  house.handle(R"({"prompt":"Hi"})");
  house.deadline = house.clock.now() + 1s;
  house.handle(R"({"prompt":"Hi"})");
  house.deadline = house.clock.now() - 1s;
  house.handle(R"({"prompt":"Hi"})");
  const auto left = [&](std::size_t i) {
    return *house.generator.requests.at(i).deadline - house.clock.now();
  };
  EXPECT_EQ(left(0), 60s - 100ms);
  EXPECT_EQ(left(1), 900ms) << "a tenth of what is left";
  EXPECT_EQ(left(2), -1s);
}

TEST(DirectEvent, TheWordToHurryReachesEveryGeneration) {
  House house;
  const std::atomic<bool> hurry{false};
  house.hurry = &hurry;
  house.handle(R"({"prompt":"Hi"})");
  house.handle(read_sample("aws-lambda-go/sqs-event.json"));
  ASSERT_GE(house.generator.requests.size(), 2u);
  for (const GenerationRequest& request : house.generator.requests) {
    EXPECT_EQ(request.hurry, &hurry);
  }
}

TEST(DirectEvent, WhatIsWrongWithItFailsTheInvocation) {
  House house;
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({"prompt":7})", "event 'prompt': found a number, wanted a string"},
      {R"({"prompt":"a","messages":[]})",
       "event 'prompt': found both 'prompt' and 'messages', wanted one of them"},
      {R"({"messages":[]})", "event 'messages': found an empty array, wanted an array of messages"},
      {R"({"prompt":null})", "event 'prompt': found null, wanted a string"},
      {R"({"prompt":"a","temperature":"hot"})",
       "event 'temperature': found a string, wanted a number from 0 to 2"},
      {R"({"prompt":"a","tools":[{}]})", "event 'tools': not supported; leave it out"},
      {"{\"prompt\":\"a\"", "event: JSON: byte 13: found the end, wanted ',' or '}'"},
      {"", "event: JSON: byte 0: found the end, wanted a value"},
  };
  for (const auto& [event, message] : cases) {
    const Outcome outcome = house.handle(event);
    ASSERT_TRUE(outcome.error.has_value()) << event;
    EXPECT_EQ(outcome.error->type, "Function.InvalidRequest");
    EXPECT_EQ(outcome.error->message, message);
    EXPECT_TRUE(outcome.body.empty());
  }
  EXPECT_TRUE(house.generator.requests.empty());
}

TEST(DirectEvent, TheGeneratorsErrorsFailTheInvocationByKind) {
  const std::pair<Code, std::string_view> cases[] = {
      {Code::kInvalid, "Function.InvalidRequest"},
      {Code::kUnsupported, "Function.InvalidRequest"},
      {Code::kLimit, "Function.InvalidRequest"},
      {Code::kCorrupt, "Function.GenerationFailed"},
      {Code::kIo, "Function.GenerationFailed"},
      {Code::kUnavailable, "Function.Unavailable"},
      {Code::kDeadline, "Function.DeadlineExceeded"},
  };
  for (const auto& [code, type] : cases) {
    for (const std::size_t pieces : {0u, 2u}) {
      House house;
      house.generator.error = fail(code, "prompt: 70 tokens, the context has 64");
      house.generator.error_after_pieces = pieces;
      const Outcome outcome = house.handle(R"({"prompt":"Hi"})");
      ASSERT_TRUE(outcome.error.has_value());
      EXPECT_EQ(outcome.error->type, type);
      EXPECT_EQ(outcome.error->message, "prompt: 70 tokens, the context has 64");
      EXPECT_TRUE(outcome.body.empty()) << "no half answer";
    }
  }
}

TEST(DirectEvent, TextThatJsonCannotHoldAsItIsIsEscaped) {
  House house;
  house.generator.pieces = {"\"quoted\"\n", std::string("\0", 1), "\x80", "é"};
  EXPECT_EQ(house.handle(R"({"prompt":"Hi"})")
                .body.find(R"({"text":"\"quoted\"\n\u0000)"
                           "\xEF\xBF\xBD"
                           R"(é",)"),
            0u);
}

TEST(DirectEvent, OtherValuesThanObjectsSayWhatIsWanted) {
  House house;
  for (const auto& [event, found] : {std::pair("\"Hello\"", "a string"),
                                     {"[]", "an array"},
                                     {"null", "null"},
                                     {"3", "a number"}}) {
    const Outcome outcome = house.handle(event);
    ASSERT_TRUE(outcome.error.has_value());
    EXPECT_EQ(outcome.error->type, "Function.UnsupportedEvent");
    EXPECT_TRUE(outcome.error->message.starts_with("event: found " + std::string(found) +
                                                   ", wanted an object; this function answers "))
        << outcome.error->message;
  }
}

}  // namespace
}  // namespace thaw::handler
