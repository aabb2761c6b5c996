#include "runtime/emulator/destination.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/emulator/async_settings.h"

namespace thaw::emulator {
namespace {

using Json = nlohmann::json;
using Kind = Destination::Kind;
using namespace std::chrono_literals;

TEST(Destination, IsAFileAUrlOrAFunction) {
  const auto expect = [](std::string_view text, Kind kind, std::string_view target) {
    const auto found = parse_destination(text);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->kind, kind) << text;
    EXPECT_EQ(found->target, target);
  };
  expect("file:ends.jsonl", Kind::kFile, "ends.jsonl");
  expect("file:///tmp/ends.jsonl", Kind::kFile, "/tmp/ends.jsonl");
  expect("file:/tmp/ends.jsonl", Kind::kFile, "/tmp/ends.jsonl");
  expect("http://127.0.0.1:80/ends", Kind::kUrl, "http://127.0.0.1:80/ends");
  expect("arn:aws:lambda:us-east-1:123456789012:function:chat", Kind::kFunction, "chat");
  expect("arn:aws:sqs:us-east-1:123456789012:Dead", Kind::kFile, "destinations/sqs-Dead.jsonl");
  expect("arn:aws:s3:::bucket/../../etc", Kind::kFile, "destinations/s3-bucket-..-..-etc.jsonl");
  expect("arn:aws:events:us-east-1:123456789012:event-bus/default", Kind::kFile,
         "destinations/events-event-bus-default.jsonl");
}

TEST(Destination, RefusesEverythingElse) {
  for (const std::string& text :
       {std::string(), std::string("file:"), std::string("file:/tmp/"), std::string("http://"),
        std::string("http:///x"), std::string("https://example.com/"), std::string("chat"),
        std::string("arn:aws:sqs"), std::string("arn:aws:kinesis:us-east-1:123456789012:x"),
        std::string("arn:aws:sqs:us-east-1:123456789012:Dead.fifo"), std::string("file:a\nb"),
        std::string("arn:aws:lambda:us-east-1:1:function:chat"), "file:" + std::string(400, 'a')}) {
    const auto found = parse_destination(text);
    ASSERT_FALSE(found) << text;
    EXPECT_EQ(found.error().code, Code::kInvalid);
    EXPECT_EQ(found.error().message.find('\n'), std::string::npos);
  }
}

InvocationRecord record() {
  InvocationRecord record;
  record.time = Clock::Wall(1573755376s + 568ms);
  record.request_id = "e4b46cbf";
  record.function_arn = "arn:aws:lambda:us-east-2:123456789012:function:chat:$LATEST";
  record.condition = "RetriesExhausted";
  record.invoke_count = 3;
  record.request = R"({"ORDER":1})";
  record.response = R"({"errorMessage":"no"})";
  record.failed = true;
  return record;
}

TEST(Destination, WritesAwssDocument) {
  EXPECT_EQ(
      destination_document(record()),
      R"({"version":"1.0","timestamp":"2019-11-14T18:16:16.568Z","requestContext":{"requestId":)"
      R"("e4b46cbf","functionArn":"arn:aws:lambda:us-east-2:123456789012:function:chat:$LATEST",)"
      R"("condition":"RetriesExhausted","approximateInvokeCount":3},"requestPayload":{"ORDER":1},)"
      R"("responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":)"
      R"("Unhandled"},"responsePayload":{"errorMessage":"no"}})");
  InvocationRecord expired = record();
  expired.response.reset();
  expired.request = "no json";
  const Json document = Json::parse(destination_document(expired));
  EXPECT_FALSE(document.contains("responseContext"));
  EXPECT_EQ(document["requestPayload"], "no json");
}

TEST(Destination, GivesTheDeadLetterQueueTheEventItself) {
  const Json document = Json::parse(dead_letter_document(record()));
  EXPECT_EQ(document["body"], R"({"ORDER":1})");
  EXPECT_EQ(document["messageAttributes"]["ErrorCode"]["stringValue"], "200");
  EXPECT_EQ(document["messageAttributes"]["ErrorMessage"]["stringValue"], "no");
  EXPECT_EQ(document["messageAttributes"]["RequestID"]["stringValue"], "e4b46cbf");
}

TEST(AsyncSettings, AreKeptByFunctionAndQualifier) {
  AsyncSettings settings;
  EXPECT_EQ(settings.in_force("chat", "").retries_max, 2u);
  EXPECT_EQ(settings.in_force("chat", "").age_max, 6h);
  EventInvokeConfig config;
  config.retries_max = 0;
  settings.set("chat", "", config);
  config.retries_max = 1;
  settings.set("chat", "PROD", config);
  EXPECT_EQ(settings.in_force("chat", "$LATEST").retries_max, 0u);
  EXPECT_EQ(settings.in_force("chat", "PROD").retries_max, 1u);
  EXPECT_EQ(settings.all("chat").size(), 2u);
  EXPECT_FALSE(settings.find("other", ""));
  EXPECT_TRUE(settings.remove("chat", ""));
  EXPECT_FALSE(settings.remove("chat", ""));
}

TEST(AsyncSettings, HaveAwssLimits) {
  const auto sound = [](auto change) {
    EventInvokeConfig config;
    change(config);
    return check(config).has_value();
  };
  EXPECT_TRUE(sound([](auto& config) { config.retries_max = 2; }));
  EXPECT_FALSE(sound([](auto& config) { config.retries_max = 3; }));
  EXPECT_TRUE(sound([](auto& config) { config.age_max = 60s; }));
  EXPECT_FALSE(sound([](auto& config) { config.age_max = 59s; }));
  EXPECT_TRUE(sound([](auto& config) { config.age_max = 21600s; }));
  EXPECT_FALSE(sound([](auto& config) { config.age_max = 21601s; }));
  EXPECT_FALSE(sound([](auto& config) { config.on_failure = "nowhere"; }));
  EXPECT_FALSE(sound([](auto& config) { config.on_success = "nowhere"; }));
}

}  // namespace
}  // namespace thaw::emulator
