#include "handler/manifest.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace thaw::handler {
namespace {

Manifest full_manifest() {
  Manifest manifest;
  manifest.name = "smol é";
  manifest.task = "complete";
  manifest.system = "Be brief.\n";
  manifest.buffered = true;
  manifest.seeded = true;
  manifest.sampling.temperature = 0.75f;
  manifest.sampling.top_k = 40;
  manifest.sampling.top_p = 0.5f;
  manifest.sampling.min_p = 0.25f;
  manifest.sampling.repetition_penalty = 1.5f;
  manifest.sampling.presence_penalty = -0.5f;
  manifest.sampling.frequency_penalty = 2;
  manifest.sampling.seed = 0x123456789ABCDEF0;
  manifest.sampling.logit_bias = {{3, -100.0f}, {70000, 1.5f}};
  manifest.max_tokens = 12;
  manifest.max_tokens_limit = 34;
  manifest.event_bytes_max = 4096;
  manifest.events = {
      {"*", SourceMapping::Use::kContent, {}, "/mnt/answers", 1},
      {"aws:kinesis",
       SourceMapping::Use::kRequest,
       {"/kinesis/data", "base64", "gzip", "json", "/a~1b/0/~0"},
       "",
       4},
      {"aws:sqs", SourceMapping::Use::kPrompt, {"/body"}, "", 64},
  };
  return manifest;
}

constexpr std::string_view kFullJson = R"({
  "$schema": "https://example.org/function.schema.json", "name": "smol é", "task": "complete",
  "system": "Be brief.\n", "invoke_mode": "buffered",
  "defaults": {"max_tokens": 12, "temperature": 0.75, "top_k": 40, "top_p": 0.5, "min_p": 0.25,
    "repetition_penalty": 1.5, "presence_penalty": -0.5, "frequency_penalty": 2,
    "logit_bias": {"3": -100, "70000": 1.5}, "seed": 1311768467463790320},
  "limits": {"max_tokens": 34, "event_bytes": 4096},
  "events": {"aws:sqs": {"prompt": "/body", "answer": "return", "at_once": 64},
    "aws:kinesis": {"request": ["/kinesis/data", "base64", "gzip", "json", "/a~1b/0/~0"],
      "at_once": 4},
    "*": {"answer": {"directory": "/mnt/answers"}}}})";

void expect_equal(const Manifest& a, const Manifest& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.task, b.task);
  EXPECT_EQ(a.system, b.system);
  EXPECT_EQ(a.buffered, b.buffered);
  EXPECT_EQ(a.seeded, b.seeded);
  EXPECT_EQ(a.sampling.temperature, b.sampling.temperature);
  EXPECT_EQ(a.sampling.top_k, b.sampling.top_k);
  EXPECT_EQ(a.sampling.top_p, b.sampling.top_p);
  EXPECT_EQ(a.sampling.min_p, b.sampling.min_p);
  EXPECT_EQ(a.sampling.repetition_penalty, b.sampling.repetition_penalty);
  EXPECT_EQ(a.sampling.presence_penalty, b.sampling.presence_penalty);
  EXPECT_EQ(a.sampling.frequency_penalty, b.sampling.frequency_penalty);
  EXPECT_EQ(a.sampling.seed, b.sampling.seed);
  EXPECT_EQ(a.sampling.logit_bias, b.sampling.logit_bias);
  EXPECT_EQ(a.max_tokens, b.max_tokens);
  EXPECT_EQ(a.max_tokens_limit, b.max_tokens_limit);
  EXPECT_EQ(a.event_bytes_max, b.event_bytes_max);
  ASSERT_EQ(a.events.size(), b.events.size());
  for (std::size_t i = 0; i < a.events.size(); ++i) {
    EXPECT_EQ(a.events[i].source, b.events[i].source);
    EXPECT_EQ(a.events[i].use, b.events[i].use);
    EXPECT_EQ(a.events[i].path, b.events[i].path);
    EXPECT_EQ(a.events[i].directory, b.events[i].directory);
    EXPECT_EQ(a.events[i].at_once, b.events[i].at_once);
  }
}

TEST(Manifest, ReadsEveryField) {
  const Result<Manifest> manifest = parse_manifest(kFullJson);
  ASSERT_TRUE(manifest.has_value()) << manifest.error().message;
  expect_equal(*manifest, full_manifest());
}

TEST(Manifest, WhatItLeavesOutHasADefault) {
  const Result<Manifest> manifest = parse_manifest("{}");
  ASSERT_TRUE(manifest.has_value());
  expect_equal(*manifest, Manifest());
  const Result<Manifest> nulls = parse_manifest(R"({"name":null,"defaults":null,"limits":null})");
  ASSERT_TRUE(nulls.has_value());
  expect_equal(*nulls, Manifest());
}

TEST(Manifest, ASmallLimitBoundsTheDefault) {
  const Result<Manifest> manifest = parse_manifest(R"({"limits":{"max_tokens":100}})");
  ASSERT_TRUE(manifest.has_value());
  EXPECT_EQ(manifest->max_tokens, 100u);
}

TEST(Manifest, NamesWhatIsWrong) {
  const std::string long_name = R"({"name":")" + std::string(129, 'x') + "\"}";
  const std::pair<std::string, std::string> cases[] = {
      {"", "manifest: JSON: byte 0: found the end, wanted a value"},
      {"[]", "manifest: found an array, wanted an object"},
      {R"({"na\nme": 1})",
       "manifest 'na?me': found an unknown field, wanted $schema, name, task, "
       "system, prefixes, invoke_mode, defaults, limits, events"},
      {R"({"events": {"a\u0007b": 3}})",
       "manifest 'events.a?b': found a number, wanted an object"},
      {R"({"nmae":"x"})",
       "manifest 'nmae': found an unknown field, wanted $schema, name, task, "
       "system, prefixes, invoke_mode, defaults, limits, "
       "events"},
      {R"({"name":7})", "manifest 'name': found a number, wanted a string"},
      {R"({"name":""})", "manifest 'name': wanted 1 to 128 bytes of printable UTF-8"},
      {R"({"name":"a\nb"})", "manifest 'name': wanted 1 to 128 bytes of printable UTF-8"},
      {long_name, "manifest 'name': wanted 1 to 128 bytes of printable UTF-8"},
      {R"({"task":"sing"})", "manifest 'task': wanted 'chat' or 'complete'"},
      {R"({"task":[]})", "manifest 'task': found an array, wanted a string"},
      {R"({"system":true})", "manifest 'system': found a boolean, wanted a string"},
      {R"({"invoke_mode":"both"})",
       "manifest 'invoke_mode': found another string, wanted 'streaming' or 'buffered'"},
      {R"({"defaults":[]})", "manifest 'defaults': found an array, wanted an object"},
      {R"({"defaults":{"temp":1}})",
       "manifest 'defaults.temp': found an unknown field, wanted max_tokens, temperature, top_k, "
       "top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty, logit_bias, seed"},
      {R"({"defaults":{"temperature":3}})",
       "manifest 'defaults.temperature': found 3, wanted a number from 0 to 2"},
      {R"({"defaults":{"max_tokens":5000}})",
       "manifest 'defaults.max_tokens': found 5000, wanted an integer from 1 to 4096"},
      {R"({"defaults":{"seed":"x"}})",
       "manifest 'defaults.seed': found a string, wanted an integer "
       "from 0 to 18446744073709551615"},
      {R"({"limits":{"tokens":1}})",
       "manifest 'limits.tokens': found an unknown field, wanted max_tokens, event_bytes"},
      {R"({"limits":{"max_tokens":0}})",
       "manifest 'limits.max_tokens': found 0, wanted an integer from 1 to 16777216"},
      {R"({"limits":{"event_bytes":1}})",
       "manifest 'limits.event_bytes': found 1, wanted an integer from 1024 to 67108864"},
      {R"({"events":{"aws:sqs":7}})",
       "manifest 'events.aws:sqs': found a number, wanted an object"},
      {R"({"events":{"aws:sqs":{"prompts":"/a"}}})",
       "manifest 'events.aws:sqs.prompts': found an unknown field, wanted prompt, request, answer, "
       "at_once"},
      {R"({"events":{"aws:sqs":{"prompt":"a"}}})",
       "manifest 'events.aws:sqs': wanted steps that are JSON Pointers of at most 1024 bytes, as "
       "'/request/prompt', or 'base64', 'gzip', 'json', 'url', 'dynamodb'"},
      {R"({"events":{"aws:sqs":{"prompt":["/a~2"]}}})",
       "manifest 'events.aws:sqs': wanted steps that are JSON Pointers of at most 1024 bytes, as "
       "'/request/prompt', or 'base64', 'gzip', 'json', 'url', 'dynamodb'"},
      {R"({"events":{"aws:sqs":{"prompt":[]}}})",
       "manifest 'events.aws:sqs.prompt': found an array, wanted a JSON Pointer, or an array of "
       "these and of decodings"},
      {R"({"events":{"aws:sqs":{"prompt":["/a",1]}}})",
       "manifest 'events.aws:sqs.prompt': found a number, wanted a JSON Pointer, or an array of "
       "these and of decodings"},
      {R"({"events":{"aws:sqs":{"prompt":"/a","request":"/b"}}})",
       "manifest 'events.aws:sqs.request': found 'prompt' beside it, wanted one of them"},
      {R"({"events":{"aws:sqs":{"answer":"keep"}}})",
       "manifest 'events.aws:sqs.answer': found another string, wanted 'return' or {'directory'}"},
      {R"({"events":{"aws:sqs":{"answer":{}}}})",
       "manifest 'events.aws:sqs.answer.directory': found nothing, wanted an absolute path"},
      {R"({"events":{"aws:sqs":{"answer":{"directory":"a"}}}})",
       "manifest 'events.aws:sqs.answer.directory': wanted an absolute path of at most 1024 bytes"},
      {R"({"events":{"aws:sqs":{"at_once":65}}})",
       "manifest 'events.aws:sqs.at_once': found 65, wanted an integer from 1 to 64"},
      {R"({"events":{"function-url":{}}})",
       "manifest 'events': wanted sources among '*', 'aws:sqs', 'aws:sns', 'aws:s3', "
       "'eventbridge', 'aws:kinesis', 'aws:dynamodb', 'aws:kafka', 'aws:mq', 'aws:rmq', "
       "'cloudwatch-logs', 'step-functions', 'api-gateway-websocket', 'bedrock-agent', "
       "'cloudevents', 'cloudevents-batch', 'acs:oss', 'fc-timer', 'fc-mns', 'fc-sls', "
       "'fc-tablestore', 'fc-cdn'"},
  };
  for (const auto& [json, message] : cases) {
    const Result<Manifest> manifest = parse_manifest(json);
    ASSERT_FALSE(manifest.has_value()) << json;
    EXPECT_EQ(manifest.error().code, Code::kInvalid);
    EXPECT_EQ(manifest.error().message, message);
  }
}

TEST(Manifest, CompilesToTheSameBytesAndBack) {
  for (const Manifest& manifest : {Manifest(), full_manifest()}) {
    const std::vector<std::byte> compiled = compile_manifest(manifest);
    EXPECT_EQ(compiled, compile_manifest(manifest));
    const Result<Manifest> again = read_manifest(compiled);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    expect_equal(*again, manifest);
    EXPECT_EQ(compile_manifest(*again), compiled);
  }
}

TEST(Manifest, CompiledBytesAreTheseForVersion2) {
  Manifest manifest;
  manifest.name = "m";
  manifest.sampling.logit_bias = {{9, 1.0f}};
  const unsigned char expected[] = {
      'T', 'H', 'M', 'F', 2, 0, 0, 0,                   // magic, version
      0, 0, 0, 0,                                       // flags
      0, 1, 0, 0, 0, 16, 0, 0, 0, 0, 0x60, 0,           // max_tokens, its limit,
                                                        // event_bytes_max
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3F,         // temperature, top_k, top_p
      0, 0, 0, 0, 0, 0, 0x80, 0x3F,                     // min_p, repetition_penalty
      0, 0, 0, 0, 0, 0, 0, 0,                           // presence_penalty, frequency_penalty
      0, 0, 0, 0, 0, 0, 0, 0,                           // seed
      1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0x80, 0x3F,         // logit_bias
      1, 0, 0, 0, 'm', 4, 0, 0, 0, 'c', 'h', 'a', 't',  // name, task
      0, 0, 0, 0, 0, 0, 0, 0,                           // system, events
  };
  const std::vector<std::byte> compiled = compile_manifest(manifest);
  ASSERT_EQ(compiled.size(), sizeof expected);
  for (std::size_t i = 0; i < compiled.size(); ++i) {
    EXPECT_EQ(static_cast<unsigned>(compiled[i]), expected[i]) << i;
  }
}

TEST(Manifest, EveryCutIsRefused) {
  const std::vector<std::byte> compiled = compile_manifest(full_manifest());
  for (std::size_t length = 0; length < compiled.size(); ++length) {
    const Result<Manifest> manifest = read_manifest(Bytes(compiled).first(length));
    ASSERT_FALSE(manifest.has_value()) << length;
    EXPECT_EQ(manifest.error().code, Code::kCorrupt);
  }
  std::vector<std::byte> longer = compiled;
  longer.push_back(std::byte{0});
  EXPECT_EQ(read_manifest(longer).error().code, Code::kCorrupt);
}

TEST(Manifest, AnotherVersionSaysWhatToDo) {
  std::vector<std::byte> compiled = compile_manifest(Manifest());
  compiled[4] = std::byte{1};
  const Result<Manifest> manifest = read_manifest(compiled);
  ASSERT_FALSE(manifest.has_value());
  EXPECT_EQ(manifest.error().code, Code::kUnsupported);
  EXPECT_EQ(manifest.error().message,
            "read manifest: version 1, this build reads 2; freeze the snapshot anew");
}

// A corrupt byte is refused, or makes another manifest that is valid and compiles to those bytes.
TEST(Manifest, EveryByteCorruptedIsRefusedOrValid) {
  const std::vector<std::byte> compiled = compile_manifest(full_manifest());
  std::size_t refused = 0;
  for (std::size_t at = 0; at < compiled.size(); ++at) {
    for (const unsigned flip : {0x01u, 0x80u, 0xFFu}) {
      std::vector<std::byte> corrupt = compiled;
      corrupt[at] ^= static_cast<std::byte>(flip);
      const Result<Manifest> manifest = read_manifest(corrupt);
      if (!manifest) {
        ++refused;
        continue;
      }
      EXPECT_TRUE(validate(*manifest).has_value()) << at;
      EXPECT_EQ(compile_manifest(*manifest).size(), corrupt.size()) << at;
    }
  }
  EXPECT_GT(refused, compiled.size());
}

TEST(Manifest, RandomBytesBehindTheHeaderNeverBreakIt) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Random random(kSeed);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bytes = compile_manifest(full_manifest());
    for (std::uint64_t edits = 1 + random.below(6); edits > 0; --edits) {
      bytes[8 + random.below(bytes.size() - 8)] = static_cast<std::byte>(random.below(256));
    }
    const Result<Manifest> manifest = read_manifest(bytes);
    EXPECT_TRUE(!manifest || validate(*manifest).has_value());
  }
}

TEST(Manifest, ValidateFindsWhatCannotBeSpeltInJson) {
  const auto refused = [](auto change) {
    Manifest manifest = full_manifest();
    change(manifest);
    return !validate(manifest).has_value();
  };
  EXPECT_FALSE(refused([](Manifest&) {}));
  EXPECT_TRUE(refused([](Manifest& m) { m.sampling.temperature = std::nanf(""); }));
  EXPECT_TRUE(refused([](Manifest& m) { m.sampling.top_p = INFINITY; }));
  EXPECT_TRUE(refused([](Manifest& m) { m.sampling.top_k = 0x80000000; }));
  EXPECT_TRUE(refused([](Manifest& m) { m.sampling.min_p = -0.5f; }));
  EXPECT_TRUE(refused([](Manifest& m) { m.sampling.repetition_penalty = 0; }));
  EXPECT_TRUE(refused([](Manifest& m) { m.sampling.presence_penalty = 2.5f; }));
  EXPECT_TRUE(refused([](Manifest& m) { m.sampling.frequency_penalty = -2.5f; }));
  EXPECT_TRUE(refused([](Manifest& m) { m.sampling.logit_bias[1] = 101; }));
  EXPECT_TRUE(refused([](Manifest& m) { m.system = "\xFF"; }));
  EXPECT_TRUE(refused([](Manifest& m) { m.system.assign(kSystemBytesMax + 1, 'x'); }));
  const auto mapped = [&](const SourceMapping& mapping) {
    return refused([&](Manifest& m) { m.events = {mapping}; });
  };
  constexpr auto kPrompt = SourceMapping::Use::kPrompt;
  EXPECT_FALSE(mapped({"aws:sqs", kPrompt, {"/a"}, "/b", 1}));
  EXPECT_TRUE(mapped({"aws:sqs", kPrompt, {"/\xFF"}, "", 1}));
  EXPECT_TRUE(mapped({"aws:sqs", kPrompt, {"/" + std::string(1024, 'x')}, "", 1}));
  EXPECT_TRUE(mapped({"aws:sqs", kPrompt, {}, "", 1}));
  EXPECT_TRUE(mapped({"aws:sqs", SourceMapping::Use::kContent, {"/a"}, "", 1}));
  EXPECT_TRUE(mapped({"aws:sqs", static_cast<SourceMapping::Use>(3), {"/a"}, "", 1}));
  EXPECT_TRUE(mapped({"aws:sqs", kPrompt, std::vector<std::string>(17, "/a"), "", 1}));
  EXPECT_TRUE(mapped({"aws:sqs", kPrompt, {"/a"}, "/a\nb", 1}));
  EXPECT_TRUE(mapped({"aws:sqs", kPrompt, {"/a"}, "", 0}));
  EXPECT_TRUE(mapped({"aws:none", kPrompt, {"/a"}, "", 1}));
  EXPECT_TRUE(refused([](Manifest& m) {
    m.events = {{"aws:sqs", SourceMapping::Use::kContent, {}, "", 1},
                {"aws:sqs", SourceMapping::Use::kContent, {}, "", 1}};
  }));
  EXPECT_TRUE(refused([](Manifest& m) { m.max_tokens = 35; }));
  EXPECT_TRUE(refused([](Manifest& m) { m.max_tokens_limit = kTokensLimitMax + 1; }));
  EXPECT_TRUE(refused([](Manifest& m) { m.event_bytes_max = kEventBytesLimitMax + 1; }));
  EXPECT_TRUE(refused([](Manifest& m) {
    for (text::Token token = 0; token <= 1024; ++token) m.sampling.logit_bias[token] = 0;
  }));
}

}  // namespace
}  // namespace thaw::handler
