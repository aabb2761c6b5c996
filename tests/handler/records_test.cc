// Records: each fails alone, order is kept where there is one, answers go where the manifest says.
#include <gtest/gtest.h>
#include <stdlib.h>  // mkdtemp

#include <filesystem>
#include <fstream>
#include <sstream>

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
  const Outcome outcome =
      house.handle(queue_event({"good", R"({"messages":[]})", R"({"prompt":7})", "", "also good"}));
  EXPECT_FALSE(outcome.error.has_value());
  EXPECT_EQ(outcome.body,
            R"({"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m2"},)"
            R"({"itemIdentifier":"m3"}]})");
  EXPECT_EQ(house.generator.requests.size(), 2u);
}

TEST(Queue, TextThatIsNoRequestIsAPrompt) {
  House house;
  const Outcome outcome = house.handle(queue_event({"{not json", R"({"other":1})", "7"}));
  EXPECT_EQ(outcome.body, R"({"batchItemFailures":[]})");
  ASSERT_EQ(house.generator.requests.size(), 3u);
  EXPECT_EQ(prompt_of(house.generator.requests[0]), "{not json");
  EXPECT_EQ(prompt_of(house.generator.requests[1]), R"({"other":1})");
}

TEST(Queue, AFifoQueueStopsAtTheFirstFailureAndReturnsTheRest) {
  House house;
  const Outcome outcome = house.handle(queue_event({"good", "", "good", "good"}, true));
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
  EXPECT_EQ(outcome.error->message, "event 'Records[0].messageId': found nothing, wanted a name");
  EXPECT_TRUE(house.generator.requests.empty());
}

TEST(Queue, RecordsThatAreInNoOrderRunTogether) {
  House house;
  house.manifest.events = {{"aws:sqs", SourceMapping::Use::kContent, {}, "", 3}};
  house.handle(queue_event({"a", "b", "", "c", "d"}));
  EXPECT_EQ(house.generator.together, (std::vector<std::size_t>{3, 1}));
  House fifo;
  fifo.manifest.events = house.manifest.events;
  fifo.handle(queue_event({"a", "b", "c"}, true));
  EXPECT_EQ(fifo.generator.together, (std::vector<std::size_t>{1, 1, 1}));
}

std::string kafka_event(std::initializer_list<std::pair<std::string_view, std::string_view>> all) {
  std::string event;
  json::Writer writer(event);
  writer.begin_object().field("eventSource", "aws:kafka").key("records").begin_object();
  std::string_view open;
  int offset = 10;
  for (const auto& [partition, value] : all) {
    if (partition != open) {
      if (!open.empty()) writer.end_array();
      writer.key(partition).begin_array();
      open = partition;
    }
    writer.begin_object().field("offset", offset++).field("value", value).end_object();
  }
  writer.end_array().end_object().end_object();
  return event;
}

TEST(Kafka, EachPartitionKeepsItsOwnOrder) {
  House house;
  house.manifest.events = {{"*", SourceMapping::Use::kContent, {}, "", 8}};
  // "YQ==" is "a"; "!" is no base64.
  const Outcome outcome = house.handle(kafka_event(
      {{"t-0", "YQ=="}, {"t-0", "!"}, {"t-0", "YQ=="}, {"t-1", "YQ=="}, {"t-1", "YQ=="}}));
  EXPECT_EQ(outcome.body,
            R"({"batchItemFailures":[{"itemIdentifier":{"partition":"t-0","offset":11}},)"
            R"({"itemIdentifier":{"partition":"t-0","offset":12}}]})");
  EXPECT_EQ(house.generator.requests.size(), 3u);
}

TEST(Shard, NamesTheFirstFailureAndHandlesNothingBehindIt) {
  House house;
  const auto record = [](std::string_view data, std::string_view number) {
    return R"({"eventSource":"aws:kinesis","kinesis":{"data":")" + std::string(data) +
           R"(","sequenceNumber":")" + std::string(number) + "\"}}";
  };
  const Outcome outcome = house.handle("{\"Records\":[" + record("YQ==", "1") + "," +
                                       record("", "2") + "," + record("YQ==", "3") + "]}");
  EXPECT_EQ(outcome.body, R"({"batchItemFailures":[{"itemIdentifier":"2"}]})");
  EXPECT_EQ(house.generator.requests.size(), 1u);
}

TEST(Shard, AWindowsStateIsHandedOn) {
  House house;
  const Outcome outcome = house.handle(
      R"({"Records":[],"window":{"start":"a","end":"b"},"state":{"n":1e2,"s":"é"},
        "shardId":"shardId-0","isFinalInvokeForWindow":true,
        "eventSourceARN":"arn:aws:kinesis:us-east-1:1:stream/s"})");
  EXPECT_EQ(outcome.body, R"({"state":{"n":1e2,"s":"é"},"batchItemFailures":[]})");
}

TEST(Table, AnItemIsReadAsPlainJson) {
  House house;
  const auto image = [](std::string_view inside) {
    return R"({"Records":[{"eventSource":"aws:dynamodb","dynamodb":{"SequenceNumber":"1",)"
           R"("NewImage":)" +
           std::string(inside) + "}}]}";
  };
  house.handle(image(R"({"prompt":{"S":"Hi"},"max_tokens":{"N":"5"},"stop":{"SS":["x","y"]}})"));
  ASSERT_EQ(house.generator.requests.size(), 1u);
  EXPECT_EQ(prompt_of(house.generator.requests[0]), "Hi");
  EXPECT_EQ(house.generator.requests[0].max_tokens, 5u);
  EXPECT_EQ(house.generator.requests[0].stop.size(), 2u);
  house.handle(image(
      R"({"a":{"M":{"b":{"L":[{"N":"1.5"},{"NULL":true},{"BOOL":false}]}}},"c":{"NS":["1","x"]},
          "d":{"B":"AAA="},"e":{}})"));
  EXPECT_EQ(prompt_of(house.generator.requests.at(1)),
            R"({"a":{"b":[1.5,null,false]},"c":[1,"x"],"d":"AAA=","e":null})");
}

constexpr std::string_view kTopic =
    R"({"Records":[{"EventSource":"aws:sns","Sns":{"MessageId":"1","Message":"a"}},)"
    R"({"EventSource":"aws:sns","Sns":{"MessageId":"2","Message":""}}]})";

TEST(Records, WhereTheSourceTakesNoFailuresOneFailsTheInvocation) {
  House house;
  const Outcome outcome = house.handle(kTopic);
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->type, "Function.InvalidRequest");
  EXPECT_EQ(outcome.error->message,
            "records: 1 of 2 failed; the first of them: record: found an empty text, wanted a "
            "prompt");
  EXPECT_EQ(house.generator.requests.size(), 1u) << "the other was answered";
  EXPECT_EQ(outcome.usage.prompt_tokens, 7u);
}

TEST(Records, AnswersThatAreTooMuchTogetherFail) {
  House house;
  house.generator.pieces = {std::string(3u << 20, 'x')};
  std::string event(kTopic);
  event.replace(event.rfind("\"\""), 2, "\"b\"");
  const Outcome outcome = house.handle(event);
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->type, "Function.ResponseTooLarge");
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class Directory {
 public:
  Directory() {
    std::string pattern = testing::TempDir() + "thaw-answers-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Records, AnswersAreWrittenWhereTheManifestSays) {
  const Directory directory;
  House house;
  house.manifest.events = {{"*", SourceMapping::Use::kContent, {}, directory.path(), 1}};
  EXPECT_EQ(house.handle(queue_event({"a", "b"})).body, R"({"batchItemFailures":[]})");
  EXPECT_EQ(at(read_file(directory.path() + "/m0.json"), "/text"), "\"Hello, world\"");
  const Outcome bus = house.handle(
      R"({"detail-type":"t","source":"s","id":"../../etc/a b","detail":{"prompt":"Hi"}})");
  const std::string path = directory.path() + "/_._.._etc_a_b-";
  const std::string told = at(bus.body, "/file");
  ASSERT_TRUE(told.starts_with("\"" + path)) << told;
  EXPECT_EQ(at(read_file(told.substr(1, told.size() - 2)), "/text"), "\"Hello, world\"");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 3);
}

TEST(Records, AnAnswerThatCannotBeWrittenIsAFailure) {
  House house;
  house.manifest.events = {{"*", SourceMapping::Use::kContent, {}, "/nowhere/at/all", 1}};
  EXPECT_EQ(house.handle(queue_event({"a"})).body,
            R"({"batchItemFailures":[{"itemIdentifier":"m0"}]})");
  const Outcome timer = house.handle(R"({"triggerTime":"2023","triggerName":"t","payload":"Hi"})");
  ASSERT_TRUE(timer.error.has_value());
  EXPECT_EQ(timer.error->type, "Function.AnswerNotWritten");
}

// As the platform sends it, in CBOR.
TEST(Tablestore, ComesInCbor) {
  House house;
  const std::string event =
      "\xA2\x67Version\x67Sync-v1\x67Records\x81\xA4\x64Type\x66PutRow\x64Info\xA1\x69Timestamp"
      "\x07\x6APrimaryKey\x81\xA2\x6A"
      "ColumnName\x62pk\x65Value\x03\x67"
      "Columns\x80";
  const Outcome outcome = house.handle(event);
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_EQ(at(outcome.body, "/results/0/id"), "\"row-0\"");
  EXPECT_EQ(prompt_of(house.generator.requests.at(0)),
            R"({"Type":"PutRow","Info":{"Timestamp":7},"PrimaryKey":[{"ColumnName":"pk",)"
            R"("Value":3}],"Columns":[]})");
  const Outcome cut = house.handle(event.substr(0, event.size() - 1));
  ASSERT_TRUE(cut.error.has_value());
  EXPECT_EQ(cut.error->message, "event: CBOR: byte " + std::to_string(event.size() - 1) +
                                    ": cut short; the data is damaged");
}

TEST(EventBus, AScheduleWithoutDetailIsItsOwnPrompt) {
  House house;
  const std::string event =
      R"({"version":"0","id":"53dc4d37","detail-type":"Scheduled Event","source":"aws.events",)"
      R"("account":"1","time":"2019-10-08T16:53:06Z","region":"us-east-1",)"
      R"("resources":["arn:aws:events:us-east-1:1:rule/daily"],"detail":{}})";
  const Outcome outcome = house.handle(event);
  ASSERT_FALSE(outcome.error.has_value());
  EXPECT_EQ(at(outcome.body, "/text"), "\"Hello, world\"");
  EXPECT_EQ(prompt_of(house.generator.requests.at(0)), event);
}

TEST(StepFunctions, TheTokenComesBackWithTheOutput) {
  House house;
  const Outcome outcome = house.handle(R"({"taskToken":"AAA\"b","input":{"prompt":"Hi"}})");
  ASSERT_FALSE(outcome.error.has_value());
  EXPECT_EQ(at(outcome.body, "/taskToken"), R"("AAA\"b")");
  EXPECT_EQ(at(outcome.body, "/output/text"), "\"Hello, world\"");
  const Outcome beside = house.handle(R"({"TaskToken":"A","prompt":"Hi","max_tokens":3})");
  EXPECT_EQ(at(beside.body, "/output/text"), "\"Hello, world\"");
  EXPECT_EQ(house.generator.requests.at(1).max_tokens, 3u);
  const Outcome failed = house.handle(R"({"taskToken":"A","input":{"prompt":7}})");
  ASSERT_TRUE(failed.error.has_value());
  EXPECT_EQ(failed.error->type, "Function.InvalidRequest");
}

TEST(BedrockAgent, AnswersAsItsActionGroupIsDefined) {
  House house;
  const std::string api =
      house
          .handle(
              R"({"messageVersion":"1.0","agent":{"name":"a"},"inputText":"user's words","sessionId":"s",
        "actionGroup":"g","apiPath":"/ask","httpMethod":"POST","sessionAttributes":{"k":"v"},
        "parameters":[{"name":"prompt","type":"string","value":"Hi"}]})")
          .body;
  EXPECT_EQ(prompt_of(house.generator.requests.at(0)), "Hi");
  EXPECT_EQ(at(api, "/response/httpStatusCode"), "200");
  EXPECT_EQ(at(api, "/response/apiPath"), "\"/ask\"");
  EXPECT_EQ(at(api, "/sessionAttributes/k"), "\"v\"");
  EXPECT_NE(at(api, "/response/responseBody/application~1json/body").find("Hello, world"),
            std::string::npos);
  const std::string function =
      house
          .handle(
              R"({"messageVersion":"1.0","agent":{},"inputText":"user's words","actionGroup":"g",
        "function":"f"})")
          .body;
  EXPECT_EQ(prompt_of(house.generator.requests.at(1)), "user's words");
  EXPECT_EQ(at(function, "/response/function"), "\"f\"");
  EXPECT_NE(at(function, "/response/functionResponse/responseBody/TEXT/body"), "");
  EXPECT_EQ(at(function, "/response/functionResponse/responseState"), "");
  house.generator.error = fail(Code::kCorrupt, "a logit is not finite");
  const std::string failed =
      house
          .handle(
              R"({"messageVersion":"1.0","agent":{},"inputText":"x","actionGroup":"g","function":"f"})")
          .body;
  EXPECT_EQ(at(failed, "/response/functionResponse/responseState"), "\"FAILURE\"");
}

TEST(WebSocket, AMessageIsAnsweredAndTheRestLetPass) {
  House house;
  const auto event = [](std::string_view type, std::string_view body) {
    return R"({"requestContext":{"connectionId":"c","eventType":")" + std::string(type) +
           R"(","messageId":"m","routeKey":"$default"},"body":")" + std::string(body) +
           R"(","isBase64Encoded":false})";
  };
  EXPECT_EQ(house.handle(event("CONNECT", "")).body, R"({"statusCode":200})");
  EXPECT_EQ(house.handle(event("DISCONNECT", "")).body, R"({"statusCode":200})");
  const std::string answer = house.handle(event("MESSAGE", R"({\"prompt\":\"Hi\"})")).body;
  EXPECT_EQ(at(answer, "/statusCode"), "200");
  EXPECT_NE(at(answer, "/body").find("Hello, world"), std::string::npos);
  EXPECT_EQ(prompt_of(house.generator.requests.at(0)), "Hi");
  EXPECT_EQ(at(house.handle(event("MESSAGE", R"({\"prompt\":7})")).body, "/statusCode"), "400");
  EXPECT_TRUE(house.handle(event("OTHER", "x")).error.has_value());
}

TEST(LogGroup, ControlMessagesNeedNoAnswer) {
  House house;
  // {"messageType":"CONTROL_MESSAGE","logEvents":[{"id":"","message":"x"}]}
  const Outcome outcome =
      house.handle(R"({"awslogs":{"data":")"
                   "H4sIAAAAAAAC/6tWyk0tLk5MTw2pLEhVslJy9vcLCfL3ifd1DQ52dHdV0lHKyU93LUvNKy"
                   "lWsoquVspMASoCikJ1ATkVSrWxtQBLib7BRwAAAA==\"}}");
  EXPECT_EQ(outcome.body, R"({"results":[]})");
  EXPECT_TRUE(house.generator.requests.empty());
}

}  // namespace
}  // namespace thaw::handler
