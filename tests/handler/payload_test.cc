// What the manifest says of records: where their prompt is, and how it is wrapped.
#include "handler/payload.h"

#include <gtest/gtest.h>

#include "fakes.h"
#include "handler/event/json_writer.h"

namespace thaw::handler {
namespace {

constexpr std::string_view kPacked =
    "H4sIAAAAAAAC/6tWKlSyqlYqSa0oUbJSKkhMzk5NUaqtBQAcqr+3FwAAAA==";  // gzip and base64 of
                                                                     // {"q":{"text":"packed"}}

std::string event_of(std::string_view body) {
  std::string event;
  json::Writer writer(event);
  writer.begin_object().key("Records").begin_array().begin_object();
  writer.field("messageId", "m").field("eventSource", "aws:sqs").field("body", body);
  writer.key("attributes").begin_object().field("lang", "fr").end_object();
  writer.end_object().end_array().end_object();
  return event;
}

// The prompt that a path finds, or "failed".
std::string prompt_at(std::vector<std::string> path, std::string_view body,
                      SourceMapping::Use use = SourceMapping::Use::kPrompt) {
  House house;
  house.manifest.events = {{"aws:sqs", use, std::move(path), "", 1}};
  EXPECT_TRUE(validate(house.manifest).has_value()) << validate(house.manifest).error().message;
  const Outcome outcome = house.handle(event_of(body));
  EXPECT_FALSE(outcome.error.has_value());
  if (house.generator.requests.empty()) {
    EXPECT_EQ(outcome.body, R"({"batchItemFailures":[{"itemIdentifier":"m"}]})");
    return "failed";
  }
  return std::get<std::vector<text::Message>>(house.generator.requests[0].prompt).back().content;
}

TEST(Payload, APathLeadsThroughPointersAndDecodings) {
  EXPECT_EQ(prompt_at({"/body"}, "Hi"), "Hi");
  EXPECT_EQ(prompt_at({"/attributes/lang"}, "Hi"), "fr");
  EXPECT_EQ(prompt_at({"/body", "json", "/a/1/b~1c"}, R"({"a":[0,{"b/c":"deep"}]})"), "deep");
  EXPECT_EQ(prompt_at({"/body", "base64"}, "w6k="), "\u00e9");
  EXPECT_EQ(prompt_at({"/body", "url"}, "Happy+Face%2Fx.jpg"), "Happy Face/x.jpg");
  EXPECT_EQ(prompt_at({"/body", "base64", "gzip", "json", "/q/text"}, kPacked), "packed");
  EXPECT_EQ(prompt_at({"/body", "base64", "gzip", "json", "/q"}, kPacked), R"({"text":"packed"})")
      << "what is no text is a prompt as its JSON";
  EXPECT_EQ(prompt_at({"/body", "json", "/a", "json", "/b"}, R"({"a":"{\"b\":\"nested\"}"})"),
            "nested");
  EXPECT_EQ(prompt_at({"/body", "json", "dynamodb", "/a/b"}, R"({"a":{"M":{"b":{"S":"x"}}}})"),
            "x");
}

TEST(Payload, APromptIsNeverTakenForARequest) {
  EXPECT_EQ(prompt_at({"/body"}, R"({"prompt":"Hi"})"), R"({"prompt":"Hi"})");
}

TEST(Payload, ARequestIsADirectEvent) {
  constexpr auto kRequest = SourceMapping::Use::kRequest;
  EXPECT_EQ(prompt_at({"/body"}, R"({"prompt":"Hi"})", kRequest), "Hi");
  EXPECT_EQ(prompt_at({"/body", "json", "/r"}, R"({"r":{"prompt":"Hi"}})", kRequest), "Hi");
  EXPECT_EQ(prompt_at({"/body"}, "Hi", kRequest), "failed");
  EXPECT_EQ(prompt_at({"/body"}, "{}", kRequest), "failed");
}

TEST(Payload, WhatDoesNotFitFails) {
  EXPECT_EQ(prompt_at({"/nothing"}, "Hi"), "failed");
  EXPECT_EQ(prompt_at({"/body", "base64"}, "!"), "failed");
  EXPECT_EQ(prompt_at({"/body", "base64"}, "/w=="), "failed") << "not UTF-8";
  EXPECT_EQ(prompt_at({"/body", "gzip"}, "Hi"), "failed");
  EXPECT_EQ(prompt_at({"/body", "json"}, "{"), "failed");
  EXPECT_EQ(prompt_at({"/attributes", "base64"}, "Hi"), "failed");
  EXPECT_EQ(prompt_at({"/body", "base64", "/a"}, "w6k="), "failed") << "text has no fields";
  EXPECT_EQ(prompt_at({"/body", "dynamodb"}, "Hi"), "failed");
}

TEST(Payload, TheMostParticularMappingHolds) {
  House house;
  house.manifest.events = {{"*", SourceMapping::Use::kPrompt, {"/attributes/lang"}, "", 1},
                           {"aws:sqs", SourceMapping::Use::kPrompt, {"/messageId"}, "", 1}};
  house.handle(event_of("Hi"));
  EXPECT_EQ(std::get<std::vector<text::Message>>(house.generator.requests.at(0).prompt)[0].content,
            "m");
}

TEST(Payload, LongRecordsFail) {
  House house;
  house.manifest.event_bytes_max = 1024;
  EXPECT_EQ(house.handle(event_of(std::string(1024, 'x'))).body, R"({"batchItemFailures":[]})");
  EXPECT_EQ(house.handle(event_of(std::string(1025, 'x'))).body,
            R"({"batchItemFailures":[{"itemIdentifier":"m"}]})");
}

}  // namespace
}  // namespace thaw::handler
