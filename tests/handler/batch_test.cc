// Queues: partial answers.
#include <gtest/gtest.h>

#include "fakes.h"
#include "handler/event/json_writer.h"
#include "handler/request.h"

namespace thaw::handler {
namespace {

using namespace std::chrono_literals;

std::string queue_event(std::initializer_list<std::string_view> bodies, bool fifo = false) {
  std::string event;
  json::Writer writer(event);
  writer.begin_object().key("Records").begin_array();
  int index = 0;
  for (const std::string_view body : bodies) {
    writer.begin_object().field("messageId", "m" + std::to_string(index++)).field("body", body);
    writer.field("eventSource", "aws:sqs");
    writer.field("eventSourceARN", fifo ? "arn:aws:sqs:a:1:q.fifo" : "arn:aws:sqs:a:1:q");
    writer.end_object();
  }
  writer.end_array().end_object();
  return event;
}

std::string prompt_of(const GenerationRequest& request) {
  return std::get<std::vector<text::Message>>(request.prompt).back().content;
}

TEST(Queue, ABodyIsAPromptOrADirectEvent) {
  House house;
  const Outcome outcome = house.handle(
      queue_event({"Tell me", R"( {"prompt":"From JSON","max_tokens":5,"stream":true})", "[1]"}));
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_EQ(outcome.body, R"({"batchItemFailures":[]})");
  ASSERT_EQ(house.generator.requests.size(), 3u);
  EXPECT_EQ(prompt_of(house.generator.requests[0]), "Tell me");
  EXPECT_EQ(prompt_of(house.generator.requests[1]), "From JSON");
  EXPECT_EQ(house.generator.requests[1].max_tokens, 5u);
  EXPECT_EQ(prompt_of(house.generator.requests[2]), "[1]");
  EXPECT_FALSE(house.responder.head.has_value()) << "nobody to stream to";
  EXPECT_EQ(outcome.usage.prompt_tokens, 21u);
  EXPECT_EQ(outcome.usage.completion_tokens, 9u);
  EXPECT_EQ(outcome.usage.cached_tokens, 6u);
}

TEST(Queue, PoisonFailsAlone) {
  House house;
  const Outcome outcome = house.handle(
      queue_event({"good", "{not json", R"({"prompt":7})", "", R"({"other":1})", "also good"}));
  EXPECT_FALSE(outcome.error.has_value());
  EXPECT_EQ(outcome.body,
            R"({"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m2"},)"
            R"({"itemIdentifier":"m3"},{"itemIdentifier":"m4"}]})");
  EXPECT_EQ(house.generator.requests.size(), 2u);
}

TEST(Queue, AFifoQueueStopsAtTheFirstFailureAndReturnsTheRest) {
  House house;
  const Outcome outcome = house.handle(queue_event({"good", "{bad", "good", "good"}, true));
  EXPECT_EQ(outcome.body,
            R"({"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m2"},)"
            R"({"itemIdentifier":"m3"}]})");
  EXPECT_EQ(house.generator.requests.size(), 1u);
}

TEST(Queue, ARecordThatTheGeneratorRefusesFailsAlone) {
  House house;
  house.generator.on_generate = [&](const GenerationRequest& request) {
    house.generator.error.reset();
    if (prompt_of(request) == "long") house.generator.error = fail(Code::kLimit, "too long");
  };
  EXPECT_EQ(house.handle(queue_event({"a", "long", "b"})).body,
            R"({"batchItemFailures":[{"itemIdentifier":"m1"}]})");
  EXPECT_EQ(house.generator.requests.size(), 3u);
}

TEST(Queue, WhatTheDeadlineCutsOffComesAgain) {
  House house;
  house.deadline = house.clock.now() + 10s;
  house.generator.on_generate = [&](const GenerationRequest&) {
    house.clock.advance(6s);
    if (house.generator.requests.size() == 2)
      house.generator.finish_reason = FinishReason::kDeadline;
  };
  EXPECT_EQ(house.handle(queue_event({"a", "b", "c", "d"})).body,
            R"({"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m2"},)"
            R"({"itemIdentifier":"m3"}]})");
  EXPECT_EQ(house.generator.requests.size(), 2u) << "the others never began";
}

TEST(Queue, TheManifestSaysWhereThePromptIs) {
  House house;
  house.manifest.prompt_pointer = "/detail/questions/1";
  const Outcome outcome = house.handle(
      queue_event({R"({"detail":{"questions":["a","second"]}})",
                   R"({"detail":{"questions":["a",{"prompt":"direct","max_tokens":2}]}})",
                   R"({"detail":{"questions":["a",7]}})", R"({"detail":{}})", "plain text", "[]"}));
  EXPECT_EQ(outcome.body,
            R"({"batchItemFailures":[{"itemIdentifier":"m2"},{"itemIdentifier":"m3"},)"
            R"({"itemIdentifier":"m4"},{"itemIdentifier":"m5"}]})");
  ASSERT_EQ(house.generator.requests.size(), 2u);
  EXPECT_EQ(prompt_of(house.generator.requests[0]), "second");
  EXPECT_EQ(prompt_of(house.generator.requests[1]), "direct");
  EXPECT_EQ(house.generator.requests[1].max_tokens, 2u);
}

TEST(Queue, EachRecordHasItsOwnSeed) {
  House house;
  house.handle(queue_event({"a", "b"}));
  EXPECT_EQ(house.generator.requests.at(0).sampling.seed, seed_of("m0"));
  EXPECT_EQ(house.generator.requests.at(1).sampling.seed, seed_of("m1"));
}

TEST(Queue, ABatchWhoseRecordsHaveNoNamesFailsWhole) {
  House house;
  const Outcome outcome = house.handle(R"({"Records":[{"eventSource":"aws:sqs","body":"x"}]})");
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->type, "Function.InvalidRequest");
  EXPECT_EQ(outcome.error->message, "event 'Records[0].messageId': found nothing, wanted a string");
  EXPECT_TRUE(house.generator.requests.empty());
}

}  // namespace
}  // namespace thaw::handler
