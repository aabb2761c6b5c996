#include "runtime/triggers/events.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "runtime/triggers/samples.h"

namespace thaw::triggers {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

TEST(Md5, IsRfc1321s) {
  EXPECT_EQ(md5(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5("a"), "0cc175b9c0f1b6a831c399e269772661");
  EXPECT_EQ(md5("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(md5("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
            "57edf4a22be3c955ac49da2e2107b67a");
  EXPECT_EQ(md5("abcdefghijklmnopqrstuvwxyz"), "c3fcd3d76192e4007dfb496cca67e13b");
}

const std::vector<Message> kMessages = {{"id-1", "one", 1, Clock::Wall(5s), Clock::Wall(6s)},
                                        {"id-2", "two", 2, Clock::Wall(5s), Clock::Wall(6s)}};

TEST(SqsEvent, HasItsMessages) {
  const Json event = Json::parse(sqs_event("jobs", "eu-1", kMessages));
  ASSERT_EQ(event["Records"].size(), 2u);
  const Json& record = event["Records"][1];
  EXPECT_EQ(record["messageId"], "id-2");
  EXPECT_EQ(record["body"], "two");
  EXPECT_EQ(record["md5OfBody"], md5("two"));
  EXPECT_EQ(record["attributes"]["ApproximateReceiveCount"], "2");
  EXPECT_EQ(record["attributes"]["SentTimestamp"], "5000");
  EXPECT_EQ(record["eventSource"], "aws:sqs");
  EXPECT_EQ(record["eventSourceARN"], "arn:aws:sqs:eu-1:123456789012:jobs");
}

TEST(FailedMessages, AreThoseOfTheAnswer) {
  const auto failed = [](std::string_view answer) { return failed_messages(answer, kMessages); };
  for (const char* all_right : {"", "null", "{}", "[1]x", "\"done\"", R"({"batchItemFailures":[]})",
                                R"({"batchItemFailures":null})"}) {
    if (std::string_view(all_right) == "[1]x" || std::string_view(all_right) == "\"done\"") {
      EXPECT_FALSE(failed(all_right)) << all_right;
    } else {
      EXPECT_EQ(failed(all_right), std::set<std::string>()) << all_right;
    }
  }
  EXPECT_EQ(failed(R"({"batchItemFailures":[{"itemIdentifier":"id-2"}]})"),
            std::set<std::string>{"id-2"});
  for (const char* bad :
       {R"({"batchItemFailures":[{"itemIdentifier":""}]})", R"({"batchItemFailures":[{}]})",
        R"({"batchItemFailures":[{"itemIdentifier":null}]})", R"({"batchItemFailures":"x"})",
        R"({"batchItemFailures":[{"itemIdentifier":"id-3"}]})", R"({"batchItemFailures":["id-1"]})",
        "{"}) {
    EXPECT_FALSE(failed(bad)) << bad;
  }
}

TEST(S3Event, EncodesTheKey) {
  const Json event = Json::parse(
      s3_event("uploads", "eu-1", {"a b/ü+1.txt", 7, "e"}, Clock::Wall(1573755376s), 10));
  const Json& record = event["Records"][0];
  EXPECT_EQ(record["eventName"], "ObjectCreated:Put");
  EXPECT_EQ(record["s3"]["bucket"]["arn"], "arn:aws:s3:::uploads");
  EXPECT_EQ(record["s3"]["object"]["key"], "a+b/%C3%BC%2B1.txt");
  EXPECT_EQ(record["s3"]["object"]["size"], 7);
  EXPECT_EQ(record["s3"]["object"]["sequencer"], "00000000000000000A");
}

TEST(ScheduleEvent, IsEventBridges) {
  const Json event = Json::parse(schedule_event("tick", "eu-1", Clock::Wall(1573755376s), "id"));
  EXPECT_EQ(event["detail-type"], "Scheduled Event");
  EXPECT_EQ(event["time"], "2019-11-14T18:16:16Z");
  EXPECT_EQ(event["resources"][0], "arn:aws:events:eu-1:123456789012:rule/tick");
}

TEST(Samples, AreAllJsonAndNamed) {
  std::set<std::string_view> names;
  for (const Sample& sample : samples()) {
    EXPECT_TRUE(names.insert(sample.name).second) << sample.name;
    const auto event = sample_event(sample.name);
    ASSERT_TRUE(event) << sample.name;
    EXPECT_TRUE(Json::accept(*event));
    EXPECT_EQ(*event, *sample_event(sample.name)) << "always the same";
  }
  EXPECT_GE(names.size(), 15u);
  const auto none = sample_event("nothing");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kNotFound);
  EXPECT_NE(none.error().message.find("function-url"), std::string::npos);
}

}  // namespace
}  // namespace thaw::triggers
