#include "handler/event/adapter.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <tuple>

namespace thaw::event {
namespace {

std::string sample(const std::string& path) {
  std::ifstream file(std::string(THAW_SOURCE_DIR) + "/tests/data/events/" + path);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// An event, parsed, with the adapter that claims it.
struct Event {
  explicit Event(std::string bytes)
      : text(std::move(bytes)), document(json::Document::parse(text)) {
    EXPECT_TRUE(document.has_value()) << text;
    if (document) adapter = find_adapter(document->root());
  }
  std::string_view source() const { return adapter == nullptr ? "" : adapter->source; }
  HttpRequest request() const {
    const Result<HttpRequest> read = adapter->http->read(document->root());
    EXPECT_TRUE(read.has_value()) << read.error().message;
    return read ? *read : HttpRequest();
  }
  std::string error() const {
    if (adapter == nullptr) return "no adapter";
    if (adapter->http != nullptr) {
      const Result<HttpRequest> read = adapter->http->read(document->root());
      return read ? "" : read.error().message;
    }
    const Result<Batch> read = adapter->records->read(document->root());
    return read ? "" : read.error().message;
  }

  std::string text;
  Result<json::Document> document;
  const Adapter* adapter = nullptr;
};

using Paths = std::vector<std::string>;

TEST(RestApi, ReadsTheSample) {
  const Event event(sample("aws-lambda-go/apigw-request.json"));
  ASSERT_EQ(event.source(), "api-gateway-rest");
  const HttpRequest request = event.request();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.paths, Paths{"/hello/world"});
  EXPECT_EQ(request.query, (Pairs{{"name", "me"}}));
  EXPECT_EQ(request.headers.size(), 19u);
  EXPECT_EQ(request.header("CONTENT-TYPE"), "application/json");
  EXPECT_EQ(request.header("x-forwarded-for"), "54.240.196.186, 54.182.214.83");
  EXPECT_EQ(request.body, "{\r\n\t\"a\": 1\r\n}");
}

TEST(RestApi, ReadsEveryValueOfAHeader) {
  const Event event(R"({"resource":"/x","path":"/x","httpMethod":"GET","requestContext":{},
    "headers":{"A":"2"},"multiValueHeaders":{"A":["1","2"],"B":[]},
    "queryStringParameters":{"q":"b"},"multiValueQueryStringParameters":{"q":["a b","b%20"]}})");
  EXPECT_EQ(event.request().headers, (Pairs{{"A", "1"}, {"A", "2"}}));
  EXPECT_EQ(event.request().query, (Pairs{{"q", "a b"}, {"q", "b%20"}})) << "decoded already";
}

TEST(RestApi, UsesSingleValuesWhereThereAreNoOthers) {
  const Event event(R"({"resource":"/x","path":"/x","httpMethod":"GET","requestContext":{},
    "headers":{"A":"2","N":null},"multiValueHeaders":null,"queryStringParameters":{"q":"b"},
    "multiValueQueryStringParameters":null,"body":null})");
  EXPECT_EQ(event.request().headers, (Pairs{{"A", "2"}}));
  EXPECT_EQ(event.request().query, (Pairs{{"q", "b"}}));
  EXPECT_EQ(event.request().body, "");
}

TEST(RestApi, AGreedyVariableIsAReadingOfThePath) {
  // A custom domain's base path "llm" is part of `path`, and no part of what "{proxy+}" caught.
  const Event event(R"({"resource":"/{proxy+}","path":"/llm/v1/models","httpMethod":"GET",
    "requestContext":{"stage":"prod"},"pathParameters":{"proxy":"v1/models"}})");
  EXPECT_EQ(event.request().paths, (Paths{"/llm/v1/models", "/v1/models"}));
}

TEST(RestApi, PayloadFormat1OfAnHttpApiHasTheStageInItsPath) {
  const Event event(R"({"version":"1.0","resource":"/predict","path":"/prod/predict",
    "httpMethod":"POST","requestContext":{"stage":"prod"}})");
  EXPECT_EQ(event.request().paths, (Paths{"/predict", "/prod/predict"}));
}

TEST(HttpApi, ReadsTheSamples) {
  const Event event(sample("aws-lambda-go/apigw-v2-request-no-authorizer.json"));
  ASSERT_EQ(event.source(), "api-gateway-http");
  const HttpRequest request = event.request();
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.paths, Paths{"/"});
  EXPECT_EQ(request.header("X-Forwarded-For"), "1.2.3.4");
  EXPECT_EQ(request.body, "");
  for (const std::string name : {"iam", "jwt-authorizer", "lambda-authorizer"}) {
    EXPECT_EQ(Event(sample("aws-lambda-go/apigw-v2-request-" + name + ".json")).source(),
              "api-gateway-http");
  }
}

std::string v2(std::string_view raw_path, std::string_view stage, std::string_view more = "") {
  return R"({"version":"2.0","rawPath":")" + std::string(raw_path) +
         R"(","rawQueryString":"","requestContext":{"http":{"method":"GET"},"stage":")" +
         std::string(stage) + "\"}" + std::string(more) + "}";
}

TEST(HttpApi, StripsANamedStage) {
  EXPECT_EQ(Event(v2("/prod/v1/models", "prod")).request().paths,
            (Paths{"/v1/models", "/prod/v1/models"}));
  EXPECT_EQ(Event(v2("/prod", "prod")).request().paths, (Paths{"/", "/prod"}));
  EXPECT_EQ(Event(v2("/production/x", "prod")).request().paths, (Paths{"/production/x"}));
  EXPECT_EQ(Event(v2("/x", "$default")).request().paths, (Paths{"/x"}));
  EXPECT_EQ(Event(v2("/$default/x", "$default")).request().paths, (Paths{"/$default/x"}));
  // A stage that is called like the first part of a route: both readings are kept.
  EXPECT_EQ(Event(v2("/v1/models", "v1")).request().paths, (Paths{"/models", "/v1/models"}));
}

TEST(HttpApi, AGreedyVariableIsAReadingOfThePath) {
  const Event event(
      v2("/dev/agents/v1/models", "dev",
         R"(,"routeKey":"ANY /agents/{proxy+}","pathParameters":{"proxy":"v1/models"})"));
  EXPECT_EQ(event.request().paths,
            (Paths{"/agents/v1/models", "/v1/models", "/dev/agents/v1/models"}));
}

TEST(HttpApi, DecodesThePathOnce) {
  EXPECT_EQ(Event(v2("/v1/models/a%20b%252F", "$default")).request().paths,
            Paths{"/v1/models/a b%2F"});
}

TEST(FunctionUrl, ReadsTheSamples) {
  const Event event(sample("aws-lambda-go/lambda-urls-request.json"));
  ASSERT_EQ(event.source(), "function-url");
  const HttpRequest request = event.request();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.paths, Paths{"/my/path"});
  EXPECT_EQ(request.query,
            (Pairs{{"parameter1", "value1"}, {"parameter1", "value2"}, {"parameter2", "value"}}));
  EXPECT_EQ(request.header("cookie"), "cookie1; cookie2");
  EXPECT_EQ(request.body, "Hello from client!");
}

TEST(FunctionUrl, DecodesABase64Body) {
  const Event event(sample(
      "aws-lambda-go-lambdaurl/function-url-domain-only-request-with-base64-encoded-body.json"));
  EXPECT_EQ(event.request().body, "<idk/>");
}

TEST(FunctionUrl, KeepsTheCookieHeaderWhereBothCome) {
  const Event event(sample(
      "aws-lambda-go-lambdaurl/function-url-request-with-headers-and-cookies-and-text-body.json"));
  EXPECT_EQ(event.request().header("cookie"), "foo=bar; hello=hello");
  EXPECT_EQ(event.request().query, (Pairs{{"hello", "world"}, {"foo", "bar"}}));
}

TEST(LoadBalancer, ReadsSingleAndMultiValueHeaders) {
  const Event single(sample("aws-lambda-go/alb-lambda-target-request-headers-only.json"));
  const Event multi(sample("aws-lambda-go/alb-lambda-target-request-multivalue-headers.json"));
  ASSERT_EQ(single.source(), "alb");
  ASSERT_EQ(multi.source(), "alb");
  EXPECT_FALSE(single.request().multi_value_headers);
  EXPECT_TRUE(multi.request().multi_value_headers);
  for (const Event* event : {&single, &multi}) {
    EXPECT_EQ(event->request().header("X-MyHeader"), "123");
    EXPECT_EQ(event->request().query, (Pairs{{"key", "hello"}}));
  }
}

TEST(LoadBalancer, DecodesTheQueryItself) {
  const Event event(R"({"requestContext":{"elb":{}},"httpMethod":"GET","path":"/a%2Fb",
    "queryStringParameters":{"a%20b":"c+d%26"},"headers":{}})");
  EXPECT_EQ(event.request().query, (Pairs{{"a b", "c d&"}}));
  EXPECT_EQ(event.request().paths, Paths{"/a/b"});
}

TEST(FunctionCompute, ReadsTheSamples) {
  const Event event(sample("transcribed/fc-http-trigger-v1.json"));
  ASSERT_EQ(event.source(), "fc-http");
  EXPECT_EQ(event.request().method, "GET");
  EXPECT_EQ(event.request().paths, Paths{"/example"});
  EXPECT_EQ(event.request().body, "Hello FC!");
  EXPECT_EQ(Event(sample("devsapp-fc3/http.json")).source(), "fc-http");
  EXPECT_EQ(Event(sample("devsapp-fc3/e2e-http-evt.json")).request().body, "haha");
}

TEST(HttpSources, NameTheFieldThatIsWrong) {
  const std::pair<std::string, std::string> cases[] = {
      {R"({"version":"2.0","rawPath":1,"requestContext":{"http":{"method":"GET"}}})",
       "event 'rawPath': found a number, wanted a string"},
      {R"({"version":"2.0","rawPath":"/","requestContext":{"http":{}}})",
       "event 'requestContext.http.method': found nothing, wanted a string"},
      {v2("/", "", R"(,"headers":[])"), "event 'headers': found an array, wanted an object"},
      {v2("/", "", R"(,"headers":{"a":1})"),
       "event 'headers': found a number, wanted strings or lists of strings in it"},
      {v2("/", "", R"(,"headers":{"a":[1]})"),
       "event 'headers': found a number, wanted strings in its lists"},
      {v2("/", "", R"(,"cookies":"a")"),
       "event 'cookies': found a string, wanted an array of strings"},
      {v2("/", "", R"(,"cookies":[1])"), "event 'cookies': found a number, wanted a string"},
      {v2("/", "", R"(,"body":{})"), "event 'body': found an object, wanted a string"},
      {v2("/", "", R"(,"body":"x","isBase64Encoded":"yes")"),
       "event 'isBase64Encoded': found a string, wanted a boolean"},
      {v2("/", "", R"(,"body":"x","isBase64Encoded":true)"),
       "event 'body': found other characters, wanted base64 as isBase64Encoded says"},
      {R"({"requestContext":{"elb":{}},"httpMethod":7,"path":"/"})",
       "event 'httpMethod': found a number, wanted a string"},
      {R"({"requestContext":{"elb":{}},"httpMethod":"GET"})",
       "event 'path': found nothing, wanted a string"},
      {R"({"resource":"/","httpMethod":"GET","requestContext":{}})",
       "event 'path': found nothing, wanted a string"},
      {R"({"version":"v1","rawPath":"/","requestContext":{"http":{}}})",
       "event 'requestContext.http.method': found nothing, wanted a string"},
      {R"({"Records":[{"eventSource":"aws:sqs","messageId":"a"},{"eventSource":"aws:sqs"}]})",
       "event 'Records[1].messageId': found nothing, wanted a name"},
      {R"({"Records":[{"eventSource":"aws:sqs","messageId":""}]})",
       "event 'Records[0].messageId': found an empty string, wanted a name"},
      {R"({"Records":[{"eventSource":"aws:kinesis","kinesis":{}}]})",
       "event 'Records[0].kinesis.sequenceNumber': found nothing, wanted a name"},
      {R"({"Records":[{"EventSource":"aws:sns"}]})",
       "event 'Records[0].Sns.MessageId': found nothing, wanted a name"},
      {R"({"detail-type":"a","source":"b","detail":{}})",
       "event 'id': found nothing, wanted a name"},
      {R"({"eventSource":"aws:kafka","records":{"t-0":[{"offset":"x"}]}})",
       "event 'records[0].offset': found a string, wanted an integer"},
      {R"({"awslogs":{"data":"!"}})",
       "event 'awslogs.data': found other characters, wanted base64"},
      {R"({"awslogs":{"data":"AAAA"}})", "gunzip: cut short; the data is damaged, or not gzip"},
      {R"({"requestContext":{"connectionId":"c","eventType":"x"}})",
       "event 'requestContext.eventType': found another word, wanted CONNECT, MESSAGE or "
       "DISCONNECT"},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(Event(text).error(), message) << text;
}

HttpResponse response_with_repeats() {
  HttpResponse response;
  response.status = 201;
  response.headers = {{"content-type", "text/plain"},
                      {"Vary", "a"},
                      {"vary", "b"},
                      {"set-cookie", "x=1"},
                      {"Set-Cookie", "y=2"}};
  response.body = "\"é\n";
  return response;
}

TEST(HttpSources, WriteTheShapeThatTheirSourceWants) {
  const auto write = [](const Event& event, const HttpResponse& response) {
    return event.adapter->http->write(event.request(), response);
  };
  const HttpResponse response = response_with_repeats();
  const std::string tail = R"("body":"\"é\n","isBase64Encoded":false})";
  EXPECT_EQ(write(Event(v2("/", "")), response),
            R"({"statusCode":201,"headers":{"content-type":"text/plain","Vary":"a,b"},)"
            R"("cookies":["x=1","y=2"],)" +
                tail);
  EXPECT_EQ(write(Event(sample("aws-lambda-go/apigw-request.json")), response),
            R"({"statusCode":201,"headers":{"content-type":"text/plain","Vary":"a,b"},)"
            R"("multiValueHeaders":{"set-cookie":["x=1","y=2"]},)" +
                tail);
  EXPECT_EQ(write(Event(sample("aws-lambda-go/alb-lambda-target-request-multivalue-headers.json")),
                  response),
            R"({"statusCode":201,"statusDescription":"201 Created","multiValueHeaders":)"
            R"({"content-type":["text/plain"],"Vary":["a","b"],"set-cookie":["x=1","y=2"]},)" +
                tail);
  EXPECT_EQ(write(Event(sample("aws-lambda-go/alb-lambda-target-request-headers-only.json")),
                  HttpResponse{404, {{"content-type", "text/plain"}}, ""}),
            R"({"statusCode":404,"statusDescription":"404 Not Found","headers":)"
            R"({"content-type":"text/plain"},"body":"","isBase64Encoded":false})");
  EXPECT_EQ(write(Event(sample("transcribed/fc-http-trigger-v1.json")),
                  HttpResponse{200, {{"Content-Type", "application/json"}}, "{}"}),
            R"({"statusCode":200,"headers":{"Content-Type":"application/json"},)"
            R"("isBase64Encoded":false,"body":"{}"})");
}

struct ReadRecord {
  std::string id, group;
};

std::vector<ReadRecord> records_of(const std::string& text) {
  const Event event(text);
  const Result<Batch> batch = event.adapter->records->read(event.document->root());
  EXPECT_TRUE(batch.has_value()) << batch.error().message;
  std::vector<ReadRecord> records;
  for (const Record& record : batch->records) records.push_back({record.id, record.group});
  return records;
}

// What a record is called, and in which order it stands.
TEST(RecordSources, NameTheirRecords) {
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {"aws-lambda-go/sqs-event.json", "MessageID_1", ""},
      {"aws-lambda-go/sns-event.json", "95df01b4-ee98-5cb9-9903-4c221d41eb5e", ""},
      {"aws-lambda-go/s3-event-with-decoded.json", "sourcebucket/Happy%20Face.jpg#Happy Sequencer",
       ""},
      {"aws-lambda-go/kinesis-event.json",
       "49568167373333333333333333333333333333333333333333333333", "shard"},
      {"aws-lambda-go/dynamodb-time-window-event.json", "111", "shard"},
      {"aws-lambda-go/kafka-event.json", "AWSKafkaTopic-0@0", "partition AWSKafkaTopic-0"},
      {"aws-lambda-go/rabbitmq-event.json", "test::/#0", ""},
      {"aws-lambda-go/codedeploy-instance-event.json", "fb1d3015-c091-4bf9-95e2-d98521ab2ecb", ""},
      {"devsapp-fc3/oss.json", "testbucket/image/a.jpg", ""},
      {"transcribed/fc-timer.json", "timer-trigger@2023-12-26T07:49:00Z", ""},
      {"devsapp-fc3/mns-with-MessageAttributes.json", "2F5B3C281B283D4EAC694B742528****", ""},
      {"devsapp-fc3/mns-stream.json", "message", ""},
      {"devsapp-fc3/sls.json", "c2691505-38da-4d1b-998a-f1d4bb8c9994", ""},
      {"devsapp-fc3/tablestore.json", "row-0", ""},
      {"devsapp-fc3/cdn-CdnDomainStarted.json", "cf89e5a8-7d59-4bb5-a33e-4c3d08e25acf", ""},
      {"transcribed/cloudevents-batch.json", "B234-1234-1234", ""},
  };
  for (const auto& [file, id, group] : cases) {
    const std::vector<ReadRecord> records = records_of(sample(file));
    ASSERT_FALSE(records.empty()) << file;
    EXPECT_EQ(records[0].id, id) << file;
    EXPECT_EQ(records[0].group, group) << file;
  }
}

TEST(RecordSources, KnowFifoQueuesByTheirName) {
  EXPECT_EQ(records_of(R"({"Records":[{"eventSource":"aws:sqs","messageId":"1","body":"x",
    "eventSourceARN":"arn:aws:sqs:us-east-1:1:jobs.fifo"}]})")[0]
                .group,
            "fifo");
}

TEST(RecordSources, WritePartialAnswersWithWhateverNames) {
  const Event event(sample("aws-lambda-go/sqs-event.json"));
  const Record a{"a", {}, {}}, b{"b\"c", {}, {}};
  const RecordResult results[] = {{&a, "", "", ""}, {&b, "", "Function.InvalidRequest", "m"}};
  const auto write = event.adapter->records->write;
  EXPECT_EQ(write(event.document->root(), {}, {}), R"({"batchItemFailures":[]})");
  EXPECT_EQ(write(event.document->root(), std::span(results), {}),
            R"({"batchItemFailures":[{"itemIdentifier":"b\"c"}]})");
}

TEST(RecordSources, AreRecognisedByOneAdapterEach) {
  const std::string root = std::string(THAW_SOURCE_DIR) + "/tests/data/events";
  std::set<std::string_view> seen;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".json") continue;
    const std::string text = sample(std::filesystem::relative(entry.path(), root).string());
    const auto document = json::Document::parse(text);
    if (!document) continue;
    std::vector<std::string_view> claims;
    for (const Adapter* adapter : adapters()) {
      EXPECT_NE(adapter->http == nullptr, adapter->records == nullptr) << adapter->source;
      if (adapter->recognises(document->root())) claims.push_back(adapter->source);
    }
    EXPECT_LE(claims.size(), 1u) << entry.path() << ": " << claims[0] << ", " << claims[1];
    seen.insert(claims.begin(), claims.end());
  }
  for (const Adapter* adapter : adapters()) {
    // Neither source publishes a sample of these two.
    if (adapter->source == "step-functions" || adapter->source == "bedrock-agent") continue;
    EXPECT_TRUE(seen.contains(adapter->source)) << adapter->source << " has no sample";
  }
}

std::string source_of(const std::string& text) {
  const auto document = json::Document::parse(text);
  EXPECT_TRUE(document.has_value());
  return unhandled_source(document->root());
}

TEST(UnhandledSource, NeverRepeatsWhatDoesNotLookLikeAName) {
  EXPECT_EQ(source_of(R"({"eventSource":"aws:new-thing"})"), "aws:new-thing");
  EXPECT_EQ(source_of(R"({"eventSource":"tell me a joke"})"), "");
  EXPECT_EQ(source_of("{\"eventSource\":\"" + std::string(65, 'a') + "\"}"), "");
  EXPECT_EQ(source_of(R"({"eventSource":""})"), "");
  EXPECT_EQ(source_of("[]"), "");
  EXPECT_EQ(source_of("null"), "");
}

std::string names_of(const std::string& text) {
  const auto document = json::Document::parse(text);
  EXPECT_TRUE(document.has_value());
  return field_names(document->root());
}

TEST(FieldNames, AreBoundedAndPrintable) {
  EXPECT_EQ(names_of(R"({"a":1,"b\nc":{"d":2},"é":"secret"})"),
            "'a', 'b?c', '"
            "?"
            "?"
            "'");
  EXPECT_EQ(names_of("{}"), "");
  EXPECT_EQ(names_of("{\"" + std::string(100, 'x') + "\":1}"), "'" + std::string(40, 'x') + "'");
  std::string many = "{\"f0\":0";
  for (int i = 1; i < 20; ++i) many += ",\"f" + std::to_string(i) + "\":0";
  EXPECT_TRUE(names_of(many + "}").ends_with("'f15', and 4 more"));
}

}  // namespace
}  // namespace thaw::event
