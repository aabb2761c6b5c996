// Every field of a request, wrong in type and in range: a 400 that names it, in each shape.
#include <gtest/gtest.h>

#include "fakes.h"
#include "handler/event/json_writer.h"

namespace thaw::handler {
namespace {

struct Wrong {
  std::string_view field;    // added to a good request
  std::string_view param;    // the error's
  std::string_view message;  // the error's, behind the field's name
};

struct Refusal {
  int status;
  std::string param;  // as JSON
  std::string code;
  std::string type;
  std::string message;
  std::string all;
};

std::string in_json(std::string_view text) {
  std::string spelt;
  json::append_quoted(spelt, text);
  return spelt;
}

Refusal refusal_of(std::string_view path, const std::string& body) {
  House house;
  const HttpAnswer answer = answer_of(house.handle(url_event("POST", path, body)));
  EXPECT_TRUE(house.generator.requests.empty()) << body;
  return {answer.status,
          at(answer.body, "/error/param"),
          at(answer.body, "/error/code"),
          at(answer.body, "/error/type"),
          at(answer.body, "/error/message"),
          answer.body};
}

void expect_refused(const Wrong& wrong, std::string_view code) {
  const std::pair<std::string_view, std::string> shapes[] = {
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"Hi"}],)"},
      {"/v1/completions", R"({"prompt":"Hi",)"},
      {"/predict", R"({"prompt":"Hi",)"},
  };
  for (const auto& [path, start] : shapes) {
    const std::string body = start + std::string(wrong.field) + "}";
    const Refusal refusal = refusal_of(path, body);
    EXPECT_EQ(refusal.status, 400) << path << body;
    EXPECT_EQ(refusal.param, in_json(wrong.param)) << path << body;
    EXPECT_EQ(refusal.code, in_json(code)) << path << body;
    EXPECT_EQ(refusal.type, in_json("invalid_request_error"));
    EXPECT_EQ(refusal.message,
              in_json("'" + std::string(wrong.param) + "': " + std::string(wrong.message)))
        << path << body;
  }
}

TEST(Request, NamesNumbersThatAreWrong) {
  for (const Wrong& wrong : {
           Wrong{R"("temperature":"1")", "temperature",
                 "found a string, wanted a number from 0 to 2"},
           {R"("temperature":-0.1)", "temperature", "found -0.1, wanted a number from 0 to 2"},
           {R"("temperature":2.5)", "temperature", "found 2.5, wanted a number from 0 to 2"},
           {R"("temperature":1e999)", "temperature",
            "found a number out of range, wanted a number from 0 to 2"},
           {R"("top_p":true)", "top_p", "found a boolean, wanted a number from 0 to 1"},
           {R"("top_p":1.1)", "top_p", "found 1.1, wanted a number from 0 to 1"},
           {R"("min_p":[])", "min_p", "found an array, wanted a number from 0 to 1"},
           {R"("min_p":-1)", "min_p", "found -1, wanted a number from 0 to 1"},
           {R"("presence_penalty":{})", "presence_penalty",
            "found an object, wanted a number from -2 to 2"},
           {R"("presence_penalty":3)", "presence_penalty", "found 3, wanted a number from -2 to 2"},
           {R"("frequency_penalty":"x")", "frequency_penalty",
            "found a string, wanted a number from -2 to 2"},
           {R"("frequency_penalty":-2.5)", "frequency_penalty",
            "found -2.5, wanted a number from -2 to 2"},
           {R"("repetition_penalty":"x")", "repetition_penalty",
            "found a string, wanted a number from 0.01 to 10"},
           {R"("repetition_penalty":0)", "repetition_penalty",
            "found 0, wanted a number from 0.01 to 10"},
       }) {
    expect_refused(wrong, "invalid_value");
  }
}

TEST(Request, NamesIntegersThatAreWrong) {
  for (const Wrong& wrong : {
           Wrong{R"("max_tokens":"9")", "max_tokens",
                 "found a string, wanted an integer from 1 to 4096"},
           {R"("max_tokens":0)", "max_tokens", "found 0, wanted an integer from 1 to 4096"},
           {R"("max_tokens":-5)", "max_tokens", "found -5, wanted an integer from 1 to 4096"},
           {R"("max_tokens":1.5)", "max_tokens", "found 1.5, wanted an integer from 1 to 4096"},
           {R"("max_tokens":4097)", "max_tokens", "found 4097, wanted an integer from 1 to 4096"},
           {R"("max_completion_tokens":false)", "max_completion_tokens",
            "found a boolean, wanted an integer from 1 to 4096"},
           {R"("top_k":2.5)", "top_k", "found 2.5, wanted an integer from 0 to 2147483647"},
           {R"("top_k":-2)", "top_k", "found -2, wanted an integer from 0 to 2147483647"},
           {R"("seed":"x")", "seed",
            "found a string, wanted an integer from 0 to 18446744073709551615"},
           {R"("seed":1.5)", "seed", "found 1.5, wanted an integer from 0 to 18446744073709551615"},
       }) {
    expect_refused(wrong, "invalid_value");
  }
}

TEST(Request, NamesOtherFieldsThatAreWrong) {
  const std::string many = R"("stop":["a")" + [] {
    std::string rest;
    for (int i = 0; i < 16; ++i) rest += ",\"b\"";
    return rest + "]";
  }();
  const std::string long_stop = R"("stop":")" + std::string(1025, 'x') + "\"";
  for (const Wrong& wrong : {
           Wrong{R"("stop":5)", "stop", "found a number, wanted a string or an array of strings"},
           {R"("stop":"")", "stop", "found 0 bytes, wanted 1 to 1024"},
           {R"("stop":["a",7])", "stop[1]", "found a number, wanted a string"},
           {R"("stop":["a",""])", "stop[1]", "found 0 bytes, wanted 1 to 1024"},
           {many, "stop", "found 17 strings, wanted at most 16"},
           {long_stop, "stop", "found 1025 bytes, wanted 1 to 1024"},
           {R"("stream":"yes")", "stream", "found a string, wanted true or false"},
           {R"("stream":1)", "stream", "found a number, wanted true or false"},
           {R"("stream_options":[])", "stream_options", "found an array, wanted an object"},
           {R"("stream_options":{"include_usage":1})", "stream_options.include_usage",
            "found a number, wanted true or false"},
           {R"("logit_bias":[])", "logit_bias", "found an array, wanted an object"},
           {R"("logit_bias":{"x":1})", "logit_bias",
            "found a key that is no token id, wanted token ids, as \"123\""},
           {R"("logit_bias":{"-1":1})", "logit_bias",
            "found a key that is no token id, wanted token ids, as \"123\""},
           {R"("logit_bias":{"4294967296":1})", "logit_bias",
            "found a key that is no token id, wanted token ids, as \"123\""},
           {R"("logit_bias":{"5":101})", "logit_bias.5",
            "found 101, wanted a number from -100 to 100"},
           {R"("logit_bias":{"5":"x"})", "logit_bias.5",
            "found a string, wanted a number from -100 to 100"},
           {R"("model":5)", "model", "found a number, wanted a string"},
           {R"("user":{})", "user", "found an object, wanted a string"},
           {R"("enable_thinking":"no")", "enable_thinking", "found a string, wanted true or false"},
           {R"("chat_template_kwargs":"x")", "chat_template_kwargs",
            "found a string, wanted an object"},
           {R"("chat_template_kwargs":{"enable_thinking":0})",
            "chat_template_kwargs.enable_thinking", "found a number, wanted true or false"},
           {R"("thinking":true)", "thinking", "found a boolean, wanted an object"},
           {R"("thinking":{"type":"maybe"})", "thinking.type",
            "found another value, wanted 'enabled' or 'disabled'"},
           {R"("response_format":"text")", "response_format", "found a string, wanted an object"},
           {R"("n":"2")", "n", "found a string, wanted an integer from 0 to 4294967295"},
           {R"("suffix":5)", "suffix", "found a number, wanted a string"},
           {R"("echo":1)", "echo", "found a number, wanted true or false"},
           {R"("chat_template_kwargs":{"thinking":"on"})", "chat_template_kwargs.thinking",
            "found a string, wanted true or false"},
       }) {
    expect_refused(wrong, "invalid_value");
  }
}

TEST(Request, NamesLogprobsThatAreWrong) {
  struct Case {
    std::string_view path, fields, param, message;
  };
  for (const Case& each : {
           Case{"/v1/chat/completions", R"("logprobs":5)", "logprobs",
                "found a number, wanted true or false"},
           {"/v1/chat/completions", R"("logprobs":true,"top_logprobs":21)", "top_logprobs",
            "found 21, wanted an integer from 0 to 20"},
           {"/v1/chat/completions", R"("top_logprobs":2)", "top_logprobs",
            "found it without 'logprobs', wanted 'logprobs': true beside it"},
           {"/predict", R"("top_logprobs":2,"logprobs":false)", "top_logprobs",
            "found it without 'logprobs', wanted 'logprobs': true beside it"},
           {"/v1/completions", R"("logprobs":21)", "logprobs",
            "found 21, wanted an integer from 0 to 20"},
           {"/v1/completions", R"("logprobs":"3")", "logprobs",
            "found a string, wanted an integer from 0 to 20"},
       }) {
    const std::string start = each.path.ends_with("chat/completions")
                                  ? R"({"messages":[{"role":"user","content":"Hi"}],)"
                                  : R"({"prompt":"Hi",)";
    const Refusal refusal = refusal_of(each.path, start + std::string(each.fields) + "}");
    EXPECT_EQ(refusal.status, 400) << each.fields;
    EXPECT_EQ(refusal.param, in_json(each.param)) << each.fields;
    EXPECT_EQ(refusal.message,
              in_json("'" + std::string(each.param) + "': " + std::string(each.message)));
  }
}

TEST(Request, TooManyBiasesAreRefused) {
  std::string field = R"("logit_bias":{"0":1)";
  for (int i = 1; i <= 1024; ++i) field += ",\"" + std::to_string(i) + "\":1";
  expect_refused({field + "}", "logit_bias", "found 1025 entries, wanted at most 1024"},
                 "invalid_value");
}

TEST(Request, NamesWhatIsKnownAndNotSupported) {
  constexpr std::string_view kOut = "not supported; leave it out";
  for (const Wrong& wrong : {
           Wrong{R"("n":2)", "n", "more than 1 is not supported"},
           {R"("best_of":3)", "best_of", "more than 1 is not supported"},
           {R"("echo":true)", "echo", kOut},
           {R"("tools":[{"type":"function"}])", "tools", kOut},
           {R"("functions":[{"name":"f"}])", "functions", kOut},
           {R"("tool_choice":"required")", "tool_choice", "this function calls no tools"},
           {R"("tool_choice":{"type":"function"})", "tool_choice", "this function calls no tools"},
           {R"("function_call":{"name":"f"})", "function_call", "this function calls no tools"},
           {R"("suffix":"end")", "suffix", kOut},
           {R"("response_format":{"type":"json_object"})", "response_format",
            "only {\"type\": \"text\"} is supported"},
           {R"("response_format":{"type":"json_schema","json_schema":{}})", "response_format",
            "only {\"type\": \"text\"} is supported"},
           {R"("modalities":["text","audio"])", "modalities", "only [\"text\"] is supported"},
           {R"("audio":{"voice":"a"})", "audio", kOut},
           {R"("web_search_options":{"a":1})", "web_search_options", kOut},
       }) {
    expect_refused(wrong, "unsupported_parameter");
  }
}

struct WrongMessages {
  std::string_view messages;
  std::string_view param;
  std::string_view message;
  std::string_view code = "invalid_value";
};

TEST(Request, NamesMessagesThatAreWrong) {
  constexpr std::string_view kUnsupported = "unsupported_parameter";
  for (const WrongMessages& wrong : {
           WrongMessages{"null", "messages", "found null, wanted an array of messages"},
           {"{}", "messages", "found an object, wanted an array of messages"},
           {"[]", "messages", "found an empty array, wanted an array of messages"},
           {R"(["Hi"])", "messages[0]", "found a string, wanted an object"},
           {R"([{"content":"Hi"}])", "messages[0].role",
            "found nothing, wanted 'system', 'developer', 'user' or 'assistant'"},
           {R"([{"role":7,"content":"Hi"}])", "messages[0].role",
            "found a number, wanted 'system', 'developer', 'user' or 'assistant'"},
           {R"([{"role":"USER","content":"Hi"}])", "messages[0].role",
            "found another role, wanted 'system', 'developer', 'user' or 'assistant'"},
           {R"([{"role":"user"}])", "messages[0].content",
            "found nothing, wanted a string or an array of text parts"},
           {R"([{"role":"user","content":null}])", "messages[0].content",
            "found null, wanted a string or an array of text parts"},
           {R"([{"role":"user","content":[]}])", "messages[0].content",
            "found an empty array, wanted a string or an array of text parts"},
           {R"([{"role":"user","content":"a"},{"role":"user","content":5}])", "messages[1].content",
            "found a number, wanted a string or an array of text parts"},
           {R"([{"role":"user","content":["a"]}])", "messages[0].content[0].type",
            "found nothing, wanted the string 'text'"},
           {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text",
            "found nothing, wanted a string"},
           {R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}])",
            "messages[0].content[1].type", "this function reads parts of type 'text' only",
            kUnsupported},
           {R"([{"role":"tool","content":"a","tool_call_id":"x"}])", "messages[0].role",
            "this function calls no tools", kUnsupported},
           {R"([{"role":"assistant","content":null,"tool_calls":[{"id":"x"}]}])",
            "messages[0].tool_calls", "not supported; leave it out", kUnsupported},
           {R"([{"role":"assistant","content":"a","prefix":true}])", "messages[0].prefix",
            "not supported; leave it out", kUnsupported},
       }) {
    const Refusal refusal =
        refusal_of("/v1/chat/completions", R"({"messages":)" + std::string(wrong.messages) + "}");
    EXPECT_EQ(refusal.status, 400) << wrong.messages;
    EXPECT_EQ(refusal.param, in_json(wrong.param)) << wrong.messages;
    EXPECT_EQ(refusal.code, in_json(wrong.code)) << wrong.messages;
    EXPECT_EQ(refusal.message,
              in_json("'" + std::string(wrong.param) + "': " + std::string(wrong.message)));
  }
}

TEST(Request, NamesPromptsThatAreWrong) {
  for (const WrongMessages& wrong : {
           WrongMessages{"null", "prompt", "found null, wanted a string"},
           {"5", "prompt", "found a number, wanted a string"},
           {"[]", "prompt", "found an empty array, wanted a string"},
           {R"(["a","b"])", "prompt",
            "several prompts, or token ids, are not supported; send a string",
            "unsupported_parameter"},
           {"[1,2,3]", "prompt", "several prompts, or token ids, are not supported; send a string",
            "unsupported_parameter"},
       }) {
    const Refusal refusal =
        refusal_of("/v1/completions", R"({"prompt":)" + std::string(wrong.messages) + "}");
    EXPECT_EQ(refusal.param, in_json(wrong.param)) << wrong.messages;
    EXPECT_EQ(refusal.code, in_json(wrong.code)) << wrong.messages;
    EXPECT_EQ(refusal.message,
              in_json("'" + std::string(wrong.param) + "': " + std::string(wrong.message)));
  }
}

TEST(Request, WhatWasSaidIsInNoError) {
  const std::string secret = "xyzzy-secret";
  for (const std::string& body : {
           R"({"messages":[{"role":"xyzzy-secret","content":"xyzzy-secret"}]})" + std::string(),
           R"({"messages":[{"role":"user","content":"xyzzy-secret"}],"stop":["xyzzy-secret",1]})" +
               std::string(),
           R"({"messages":[{"role":"user","content":"xyzzy-secret"}],)"
           R"("thinking":{"type":"xyzzy-secret"}})" +
               std::string(),
           R"({"messages":"xyzzy-secret"})" + std::string(),
           R"({"messages":[{"role":"user","content":"xyzzy-secret"}],)"
           R"("tool_choice":"xyzzy-secret"})" +
               std::string(),
       }) {
    const Refusal refusal = refusal_of("/v1/chat/completions", body);
    EXPECT_EQ(refusal.status, 400);
    EXPECT_EQ(refusal.all.find(secret), std::string::npos) << refusal.all;
  }
}

}  // namespace
}  // namespace thaw::handler
