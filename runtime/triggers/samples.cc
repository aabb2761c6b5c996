#include "runtime/triggers/samples.h"

#include <nlohmann/json.hpp>

#include "base/str.h"
#include "runtime/emulator/function_url.h"
#include "runtime/emulator/gateway_events.h"
#include "runtime/triggers/events.h"

namespace thaw::triggers {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kRegion = "us-east-1";
constexpr std::string_view kDirect = R"({"prompt":"Say something short.","max_tokens":24})";
constexpr Clock::Wall kNow{1'790'000'000s};

// A request to /predict, as each front hands it over.
std::string http_event(std::string_view kind) {
  const http::Fields headers{
      {"Content-Type", "application/json"}, {"Host", "example.com"}, {"User-Agent", "curl/8.0"}};
  emulator::UrlRequest request{"POST",
                               "/predict",
                               "",
                               headers,
                               kDirect,
                               "192.0.2.1",
                               "5f0c5d3a-0000-4000-8000-000000000001",
                               "Root=1-6ab13b80-000000000000000000000001",
                               kRegion,
                               "model",
                               kNow};
  if (kind == "function-url") return emulator::url_event(request);
  if (kind == "load-balancer") return emulator::balancer_event(request, false);
  if (kind == "load-balancer-multi") return emulator::balancer_event(request, true);
  if (kind == "fc-http") return emulator::fc_event(request);
  request.api = "model";
  request.route_key = "POST /predict";
  if (kind == "api-http") return emulator::url_event(request);
  request.stage = "Prod";
  request.path_parameters = {{"proxy", "predict"}};
  return emulator::rest_event(request, "/{proxy+}");
}

std::string queue_event() {
  return sqs_event(
      "jobs", kRegion,
      {{"5f0c5d3a-0000-4000-8000-000000000001", std::string(kDirect), 1, kNow, kNow},
       {"5f0c5d3a-0000-4000-8000-000000000002", R"({"prompt":"And another."})", 1, kNow, kNow}});
}

struct Entry {
  Sample sample;
  std::string (*make)();
};

const Entry kEntries[] = {
    {{"direct", "a prompt, as a client of the Invoke API sends it"},
     [] { return std::string(kDirect); }},
    {{"chat", "a conversation"},
     [] {
       return std::string(R"({"messages":[{"role":"user","content":"Say something short."}],)"
                          R"("max_tokens":24})");
     }},
    {{"function-url", "an HTTP request to a function URL"},
     [] { return http_event("function-url"); }},
    {{"api-http", "the same through an HTTP API of API Gateway"},
     [] { return http_event("api-http"); }},
    {{"api-rest", "the same through a REST API of API Gateway"},
     [] { return http_event("api-rest"); }},
    {{"load-balancer", "the same through a load balancer"},
     [] { return http_event("load-balancer"); }},
    {{"load-balancer-multi", "the same, with multi-value headers"},
     [] { return http_event("load-balancer-multi"); }},
    {{"fc-http", "the same through Function Compute's HTTP trigger"},
     [] { return http_event("fc-http"); }},
    {{"queue", "two messages of SQS"}, queue_event},
    {{"topic", "a message of SNS"},
     [] {
       return std::string(
           R"({"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","EventSubscriptionArn":)"
           R"("arn:aws:sns:us-east-1:123456789012:news:1","Sns":{"Type":"Notification",)"
           R"("MessageId":"5f0c5d3a-0000-4000-8000-000000000001","TopicArn":)"
           R"("arn:aws:sns:us-east-1:123456789012:news","Subject":null,)"
           R"("Message":"{\"prompt\":\"Say something short.\"}",)"
           R"("Timestamp":"2026-09-21T14:13:20.000Z","MessageAttributes":{}}}]})");
     }},
    {{"bucket", "a file that was put into S3"},
     [] {
       return s3_event("uploads", kRegion,
                       {"prompts/first one.txt", 20, "d41d8cd98f00b204e9800998ecf8427e"}, kNow, 1);
     }},
    {{"schedule", "a schedule of EventBridge"},
     [] {
       return schedule_event("nightly", kRegion, kNow, "5f0c5d3a-0000-4000-8000-000000000001");
     }},
    {{"stream", "a record of Kinesis"},
     [] {
       return std::string(
           R"({"Records":[{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"1",)"
           R"("sequenceNumber":"49590338271490256608559692538361571095921575989136588898",)"
           R"("data":"eyJwcm9tcHQiOiJTYXkgc29tZXRoaW5nIHNob3J0LiJ9",)"
           R"("approximateArrivalTimestamp":1790000000.5},"eventSource":"aws:kinesis",)"
           R"("eventVersion":"1.0","eventID":"shardId-000000000000:1","eventName":)"
           R"("aws:kinesis:record","awsRegion":"us-east-1","eventSourceARN":)"
           R"("arn:aws:kinesis:us-east-1:123456789012:stream/prompts"}]})");
     }},
    {{"table", "a new row of DynamoDB"},
     [] {
       return std::string(
           R"({"Records":[{"eventID":"1","eventName":"INSERT","eventVersion":"1.1",)"
           R"("eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{"Keys":)"
           R"({"id":{"S":"1"}},"NewImage":{"id":{"S":"1"},"prompt":{"S":)"
           R"("Say something short."}},"SequenceNumber":"1","SizeBytes":40,)"
           R"("StreamViewType":"NEW_IMAGE"},"eventSourceARN":)"
           R"("arn:aws:dynamodb:us-east-1:123456789012:table/prompts/stream/1"}]})");
     }},
    {{"fc-timer", "a timer of Function Compute"},
     [] {
       return std::string(R"({"triggerTime":"2026-09-21T14:13:20Z","triggerName":"nightly",)"
                          R"("payload":"{\"prompt\":\"Say something short.\"}"})");
     }},
};

}  // namespace

std::vector<Sample> samples() {
  std::vector<Sample> all;
  for (const Entry& entry : kEntries) all.push_back(entry.sample);
  return all;
}

Result<std::string> sample_event(std::string_view name) {
  std::string names;
  for (const Entry& entry : kEntries) {
    if (entry.sample.name == name) {
      return nlohmann::ordered_json::parse(entry.make()).dump(2) + "\n";
    }
    names += cat(names.empty() ? "" : ", ", entry.sample.name);
  }
  return fail(Code::kNotFound,
              cat("events: no sample '", name.substr(0, 100), "'; there are ", names));
}

}  // namespace thaw::triggers
