// OpenAI's shapes, whole: chat and text completions.
#include <gtest/gtest.h>

#include "fakes.h"

namespace thaw::handler {
namespace {

std::string body_of(House& house, std::string_view path, std::string_view body) {
  return answer_of(house.handle(url_event("POST", path, body))).body;
}

constexpr std::string_view kHi = R"({"model":"any","messages":[{"role":"user","content":"Hi"}]})";

TEST(OpenAi, AChatCompletion) {
  House house;
  house.clock.advance(std::chrono::milliseconds(1700000000999));
  EXPECT_EQ(body_of(house, "/v1/chat/completions", kHi),
            R"({"id":"chatcmpl-8476a536-e9f4-11e8-9739-2dfe598c3fcd","object":"chat.completion",)"
            R"("created":1700000000,"model":"tiny","choices":[{"index":0,"message":)"
            R"({"role":"assistant","content":"Hello, world","refusal":null},"logprobs":null,)"
            R"("finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,)"
            R"("total_tokens":10,"prompt_tokens_details":{"cached_tokens":2},)"
            R"("prompt_cache_hit_tokens":2,"prompt_cache_miss_tokens":5}})");
}

TEST(OpenAi, ATextCompletion) {
  House house;
  house.manifest.system = "no part of raw text";
  EXPECT_EQ(body_of(house, "/v1/completions", R"({"prompt":"Once"})"),
            R"({"id":"cmpl-8476a536-e9f4-11e8-9739-2dfe598c3fcd","object":"text_completion",)"
            R"("created":0,"model":"tiny","choices":[{"index":0,"text":"Hello, world",)"
            R"("logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":7,)"
            R"("completion_tokens":3,"total_tokens":10,"prompt_tokens_details":)"
            R"({"cached_tokens":2},"prompt_cache_hit_tokens":2,"prompt_cache_miss_tokens":5}})");
  EXPECT_EQ(std::get<std::string>(house.generator.requests.at(0).prompt), "Once");
  body_of(house, "/v1/completions", R"({"prompt":["Twice"]})");
  EXPECT_EQ(std::get<std::string>(house.generator.requests.at(1).prompt), "Twice");
}

TEST(OpenAi, FinishReasonsAreThoseThatItsClientsKnow) {
  for (const auto& [reason, spelt, stop_reason] :
       {std::tuple(FinishReason::kStop, "\"stop\"", ""),
        {FinishReason::kLength, "\"length\"", ""},
        {FinishReason::kDeadline, "\"length\"", "\"deadline\""}}) {
    House house;
    house.generator.finish_reason = reason;
    const std::string body = body_of(house, "/v1/chat/completions", kHi);
    EXPECT_EQ(at(body, "/choices/0/finish_reason"), spelt);
    EXPECT_EQ(at(body, "/choices/0/stop_reason"), stop_reason);
  }
}

TEST(OpenAi, CachedTokensNeverExceedThePrompt) {
  House house;
  house.generator.usage = {3, 1, 5};
  const std::string body = body_of(house, "/v1/chat/completions", kHi);
  EXPECT_EQ(at(body, "/usage/prompt_cache_hit_tokens"), "3");
  EXPECT_EQ(at(body, "/usage/prompt_cache_miss_tokens"), "0");
}

TEST(OpenAi, MessagesMayBeTextParts) {
  House house;
  body_of(house, "/v1/chat/completions",
          R"({"messages":[{"role":"system","content":[{"type":"text","text":"S"}]},
            {"role":"user","name":"x",
             "content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
            {"role":"assistant","content":"c","tool_calls":[],"refusal":null},
            {"role":"user","content":""}]})");
  const auto& messages =
      std::get<std::vector<text::Message>>(house.generator.requests.at(0).prompt);
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0].role + "|" + messages[0].content, "system|S");
  EXPECT_EQ(messages[1].role + "|" + messages[1].content, "user|a\nb");
  EXPECT_EQ(messages[2].role + "|" + messages[2].content, "assistant|c");
  EXPECT_EQ(messages[3].role + "|" + messages[3].content, "user|");
}

TEST(OpenAi, MaxCompletionTokensIsTheNewerName) {
  House house;
  body_of(
      house, "/v1/chat/completions",
      R"({"messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":4,"max_tokens":9})");
  body_of(house, "/v1/chat/completions",
          R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":9})");
  EXPECT_EQ(house.generator.requests.at(0).max_tokens, 4u);
  EXPECT_EQ(house.generator.requests.at(1).max_tokens, 9u);
}

TEST(OpenAi, ThinkingIsSpeltInThreeWays) {
  House house;
  for (const std::string_view field :
       {R"("chat_template_kwargs":{"enable_thinking":false})", R"("enable_thinking":false)",
        R"("thinking":{"type":"disabled"})"}) {
    body_of(house, "/v1/chat/completions",
            R"({"messages":[{"role":"user","content":"Hi"}],)" + std::string(field) + "}");
    EXPECT_EQ(house.generator.requests.back().enable_thinking, false) << field;
  }
  body_of(house, "/v1/chat/completions",
          R"({"messages":[{"role":"user","content":"Hi"}],"thinking":{"type":"enabled"}})");
  EXPECT_EQ(house.generator.requests.back().enable_thinking, true);
}

TEST(OpenAi, WhatAsksForNothingIsNoMistake) {
  House house;
  const std::string body =
      body_of(house, "/v1/chat/completions",
              R"({"messages":[{"role":"user","content":"Hi"}],"n":1,"best_of":1,"echo":false,
        "logprobs":false,"top_logprobs":0,"tools":[],"functions":[],"tool_choice":"none",
        "function_call":"auto","suffix":"","response_format":{"type":"text"},"modalities":["text"],
        "audio":null,"logit_bias":null,"stop":null,"stream":null,"stream_options":null,"user":"u",
        "seed":null,"top_k":-1,"parallel_tool_calls":true,"store":false,"metadata":{"a":"b"},
        "service_tier":"auto","reasoning_effort":"low","chat_template_kwargs":{},
        "unheard_of":[1]})");
  EXPECT_EQ(at(body, "/object"), "\"chat.completion\"") << body;
  EXPECT_EQ(house.generator.requests.at(0).sampling.top_k, 0u);
}

TEST(OpenAi, AnySeedOf64BitsIsGood) {
  House house;
  for (const auto& [spelt, seed] : {std::pair("0", std::uint64_t{0}),
                                    {"-1", ~std::uint64_t{0}},
                                    {"18446744073709551615", ~std::uint64_t{0}},
                                    {"-9223372036854775808", 1ull << 63}}) {
    body_of(house, "/v1/chat/completions",
            R"({"messages":[{"role":"user","content":"Hi"}],"seed":)" + std::string(spelt) + "}");
    EXPECT_EQ(house.generator.requests.back().sampling.seed, seed) << spelt;
  }
}

}  // namespace
}  // namespace thaw::handler
