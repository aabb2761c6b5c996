// Every sample event, and what becomes of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "fakes.h"
#include "handler/event/adapter.h"
#include "handler/event/json.h"

namespace thaw::handler {
namespace {

// Answered in the shape of its source; how the answer begins.
constexpr std::string_view kHttp = "HTTP";
constexpr std::string_view kBatch = R"({"batchItemFailures":[]})";
constexpr std::string_view kWindow = R"({"state":{"1":"state)";
constexpr std::string_view kResults = R"({"results":[{"id":")";
constexpr std::string_view kOnly = R"({"text":"Hello, world",)";
constexpr std::string_view kSocket = R"({"statusCode":200)";
constexpr std::string_view kEvent = R"({"specversion":"1.0",)";
constexpr std::string_view kEvents = R"([{"specversion":"1.0",)";
// Refused: not JSON; or of no known source, with its fields named. Any other word below is the
// source that the refusal names.
constexpr std::string_view kNotJson = "not JSON";
constexpr std::string_view kUnknown = "unknown";

struct Expected {
  std::string_view file;
  std::string_view answer;
};

constexpr Expected kExpected[] = {
    {"aws-lambda-go-lambdaurl/function-url-domain-only-get-request-trailing-slash.json", kHttp},
    {"aws-lambda-go-lambdaurl/function-url-domain-only-get-request.json", kHttp},
    {"aws-lambda-go-lambdaurl/function-url-domain-only-request-with-base64-encoded-body.json",
     kHttp},
    {"aws-lambda-go-lambdaurl/function-url-request-with-headers-and-cookies-and-text-body.json",
     kHttp},
    {"aws-lambda-go/activemq-event.json", kResults},
    {"aws-lambda-go/alb-lambda-target-request-headers-only.json", kHttp},
    {"aws-lambda-go/alb-lambda-target-request-multivalue-headers.json", kHttp},
    {"aws-lambda-go/alb-lambda-target-response.json", kUnknown},
    {"aws-lambda-go/apigw-custom-auth-request-type-request.json", "api-gateway-authorizer"},
    {"aws-lambda-go/apigw-custom-auth-request.json", "api-gateway-authorizer"},
    {"aws-lambda-go/apigw-custom-auth-response.json", kUnknown},
    {"aws-lambda-go/apigw-request.json", kHttp},
    {"aws-lambda-go/apigw-response.json", kUnknown},
    {"aws-lambda-go/apigw-restapi-openapi-request.json", kHttp},
    {"aws-lambda-go/apigw-v2-custom-authorizer-v1-request.json", "api-gateway-authorizer"},
    {"aws-lambda-go/apigw-v2-custom-authorizer-v2-request.json", "api-gateway-authorizer"},
    {"aws-lambda-go/apigw-v2-request-iam.json", kHttp},
    {"aws-lambda-go/apigw-v2-request-jwt-authorizer.json", kHttp},
    {"aws-lambda-go/apigw-v2-request-lambda-authorizer.json", kHttp},
    {"aws-lambda-go/apigw-v2-request-no-authorizer.json", kHttp},
    {"aws-lambda-go/apigw-websocket-request-disconnect.json", kSocket},
    {"aws-lambda-go/apigw-websocket-request-send-message.json", kSocket},
    {"aws-lambda-go/apigw-websocket-request.json", kSocket},
    {"aws-lambda-go/appsync-identity-cognito.json", kUnknown},
    {"aws-lambda-go/appsync-identity-iam.json", kUnknown},
    {"aws-lambda-go/appsync-lambda-auth-request.json", "appsync-authorizer"},
    {"aws-lambda-go/appsync-lambda-auth-response.json", kUnknown},
    {"aws-lambda-go/autoscaling-event-launch-successful.json", kOnly},
    {"aws-lambda-go/autoscaling-event-launch-unsuccessful.json", kOnly},
    {"aws-lambda-go/autoscaling-event-lifecycle-action.json", kOnly},
    {"aws-lambda-go/autoscaling-event-terminate-action.json", kOnly},
    {"aws-lambda-go/autoscaling-event-terminate-successful.json", kOnly},
    {"aws-lambda-go/autoscaling-event-terminate-unsuccessful.json", kOnly},
    {"aws-lambda-go/clientvpn-connectionhandler-request.json", "client-vpn"},
    {"aws-lambda-go/cloudwatch-alarm-sns-payload-multiple-metrics.json", kResults},
    {"aws-lambda-go/cloudwatch-alarm-sns-payload-single-metric.json", kResults},
    {"aws-lambda-go/cloudwatch-logs-event.json", kResults},
    {"aws-lambda-go/code-commit-event.json", "aws:codecommit"},
    {"aws-lambda-go/codebuild-phase-change.json", kOnly},
    {"aws-lambda-go/codebuild-state-change.json", kOnly},
    {"aws-lambda-go/codedeploy-deployment-event.json", kOnly},
    {"aws-lambda-go/codedeploy-instance-event.json", kOnly},
    {"aws-lambda-go/codepipeline-action-execution-stage-change-event.json", kOnly},
    {"aws-lambda-go/codepipeline-execution-stage-change-event.json", kOnly},
    {"aws-lambda-go/codepipeline-execution-state-change-event.json", kOnly},
    {"aws-lambda-go/codepipeline-job-event.json", "codepipeline"},
    {"aws-lambda-go/cognito-event-userpools-create-auth-challenge.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-custommessage.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-define-auth-challenge.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-inbound-federation-oidc.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-inbound-federation-saml.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-migrateuser.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-postauthentication.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-postconfirmation.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-preauthentication.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-presignup.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-pretokengen-v2.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-pretokengen-v2_0.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-pretokengen.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event-userpools-verify-auth-challenge.json", "cognito-user-pool"},
    {"aws-lambda-go/cognito-event.json", "cognito-sync"},
    {"aws-lambda-go/config-event.json", "aws-config"},
    {"aws-lambda-go/connect-event.json", "amazon-connect"},
    {"aws-lambda-go/dynamodb-event-malformed.2.json", kNotJson},
    {"aws-lambda-go/dynamodb-event.json", kBatch},
    {"aws-lambda-go/dynamodb-time-window-event.json", kWindow},
    {"aws-lambda-go/ecr-image-push-event.json", kOnly},
    {"aws-lambda-go/ecr-image-scan-event.json", kOnly},
    {"aws-lambda-go/ecs-container-instance-state-change.json", kOnly},
    {"aws-lambda-go/iot-1-click-event.json", "iot-1-click"},
    {"aws-lambda-go/iot-button-event.json", "iot-button"},
    {"aws-lambda-go/iot-custom-auth-request.json", "iot-authorizer"},
    {"aws-lambda-go/iot-custom-auth-response.json", kUnknown},
    {"aws-lambda-go/iot-preprovision-hook-request.json", "iot-provisioning"},
    {"aws-lambda-go/iot-preprovision-hook-response.json", kUnknown},
    {"aws-lambda-go/kafka-event.json", kBatch},
    {"aws-lambda-go/kinesis-analytics-output-delivery-event.json", "kinesis-analytics"},
    {"aws-lambda-go/kinesis-analytics-output-delivery-response.json", kUnknown},
    {"aws-lambda-go/kinesis-event.json", kBatch},
    {"aws-lambda-go/kinesis-firehose-event.json", "kinesis-firehose"},
    {"aws-lambda-go/kinesis-firehose-response.json", kUnknown},
    {"aws-lambda-go/kinesis-time-window-event.json", kWindow},
    {"aws-lambda-go/lambda-urls-request.json", kHttp},
    {"aws-lambda-go/lambda-urls-response.json", kUnknown},
    {"aws-lambda-go/lex-event.json", "amazon-lex"},
    {"aws-lambda-go/lex-response.json", kUnknown},
    {"aws-lambda-go/rabbitmq-event.json", kResults},
    {"aws-lambda-go/s3-batch-job-event-request-1.0.json", "s3-batch"},
    {"aws-lambda-go/s3-batch-job-event-request-2.0.json", "s3-batch"},
    {"aws-lambda-go/s3-batch-job-event-response.json", kUnknown},
    {"aws-lambda-go/s3-event-with-decoded.json", kResults},
    {"aws-lambda-go/s3-event.json", kResults},
    {"aws-lambda-go/s3-glacier-event.json", kResults},
    {"aws-lambda-go/s3-intelligenttier-event.json", kResults},
    {"aws-lambda-go/s3-lifecycle-event.json", kResults},
    {"aws-lambda-go/s3-object-lambda-event-get-object-assumed-role.json", "s3-object-lambda"},
    {"aws-lambda-go/s3-object-lambda-event-get-object-iam.json", "s3-object-lambda"},
    {"aws-lambda-go/s3-object-lambda-event-head-object-iam.json", "s3-object-lambda"},
    {"aws-lambda-go/s3-object-lambda-event-list-objects-iam.json", "s3-object-lambda"},
    {"aws-lambda-go/s3-object-lambda-event-list-objects-v2-iam.json", "s3-object-lambda"},
    {"aws-lambda-go/s3-replication-event.json", kResults},
    {"aws-lambda-go/s3-restore-event.json", kResults},
    {"aws-lambda-go/secretsmanager-secret-rotation-event.json", "secrets-manager"},
    {"aws-lambda-go/ses-lambda-event.json", "aws:ses"},
    {"aws-lambda-go/ses-s3-event.json", "aws:ses"},
    {"aws-lambda-go/ses-sns-event.json", "aws:ses"},
    {"aws-lambda-go/sns-event.json", kResults},
    {"aws-lambda-go/sqs-event.json", kBatch},
    {"devsapp-fc3/cdn-CachedObjectsRefreshed.json", kResults},
    {"devsapp-fc3/cdn-CdnDomainAdded.json", kNotJson},
    {"devsapp-fc3/cdn-CdnDomainStarted.json", kResults},
    {"devsapp-fc3/cdn-LogFileCreated.json", kNotJson},
    {"devsapp-fc3/e2e-http-evt.json", kHttp},
    {"devsapp-fc3/http.json", kHttp},
    {"devsapp-fc3/mns-stream.json", kOnly},
    {"devsapp-fc3/mns-with-MessageAttributes.json", kOnly},
    {"devsapp-fc3/mns-without-MessageAttributes.json", kOnly},
    {"devsapp-fc3/oss.json", kResults},
    {"devsapp-fc3/sls.json", kOnly},
    {"devsapp-fc3/tablestore.json", kResults},
    {"telemetry/extension.json", "lambda-telemetry"},
    {"telemetry/function.json", "lambda-telemetry"},
    {"telemetry/platform_extension.json", "lambda-telemetry"},
    {"telemetry/platform_init_report.json", "lambda-telemetry"},
    {"telemetry/platform_init_runtime_done.json", "lambda-telemetry"},
    {"telemetry/platform_init_start.json", "lambda-telemetry"},
    {"telemetry/platform_report.json", "lambda-telemetry"},
    {"telemetry/platform_runtime_done.json", "lambda-telemetry"},
    {"telemetry/platform_start.json", "lambda-telemetry"},
    {"telemetry/platform_telemetry_subscription.json", "lambda-telemetry"},
    {"transcribed/cloudevent-structured.json", kEvent},
    {"transcribed/cloudevents-batch.json", kEvents},
    {"transcribed/fc-http-response.json", kUnknown},
    {"transcribed/fc-http-trigger-v1.json", kHttp},
    {"transcribed/fc-timer.json", kOnly},
};

bool is_answered(std::string_view answer) {
  return answer == kHttp || answer.starts_with('{') || answer.starts_with('[');
}

std::string root() { return std::string(THAW_SOURCE_DIR) + "/tests/data/events"; }

TEST(Samples, EachHasALine) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root())) {
    if (entry.path().extension() == ".json") {
      files.insert(std::filesystem::relative(entry.path(), root()).string());
    }
  }
  std::set<std::string> lines;
  for (const Expected& line : kExpected) lines.emplace(line.file);
  EXPECT_EQ(files, lines);
}

void expect_refusal(const std::string& file, const InvocationError& error,
                    std::string_view answer) {
  static const std::regex type("(Runtime|Function)\\.[A-Z][a-zA-Z]+");
  EXPECT_TRUE(std::regex_match(error.type, type)) << error.type;
  EXPECT_EQ(error.message.find('\n'), std::string::npos);
  const std::string& message = error.message;
  if (answer == kNotJson) {
    EXPECT_EQ(error.type, "Function.InvalidRequest") << file;
    EXPECT_TRUE(message.starts_with("event: JSON: byte ")) << file << ": " << message;
    return;
  }
  EXPECT_EQ(error.type, "Function.UnsupportedEvent") << file;
  EXPECT_NE(message.find("this function answers {\"prompt\"}"), std::string::npos) << message;
  if (answer == kUnknown) {
    EXPECT_TRUE(message.starts_with("event: not recognised; found fields '")) << message;
  } else {
    EXPECT_TRUE(message.starts_with("event '" + std::string(answer) + "': not handled")) << message;
  }
}

TEST(Samples, AreAnsweredOrRefusedByName) {
  for (const auto& [name, answer] : kExpected) {
    const std::string file(name);
    House house;
    const Outcome outcome = house.handle(read_sample(file));
    EXPECT_FALSE(outcome.streamed) << file;
    if (!is_answered(answer)) {
      ASSERT_TRUE(outcome.error.has_value()) << file;
      expect_refusal(file, *outcome.error, answer);
      EXPECT_TRUE(house.generator.requests.empty()) << file;
      continue;
    }
    ASSERT_FALSE(outcome.error.has_value()) << file << ": " << outcome.error->message;
    const auto body = json::Document::parse(outcome.body);
    ASSERT_TRUE(body.has_value()) << file;
    if (answer != kHttp) {
      EXPECT_TRUE(outcome.body.starts_with(answer)) << file << ": " << outcome.body;
    } else {
      // The samples' paths are none of ours.
      EXPECT_EQ(body->root()["statusCode"].as_int64(), 404) << file;
    }
  }
}

// The first columns of a table's rows, and of each the cell that a column's title names.
std::map<std::string, std::string> table(const std::string& text, std::string_view title,
                                         std::string_view column) {
  std::map<std::string, std::string> cells;
  const std::size_t from = text.find("## " + std::string(title) + "\n");
  std::istringstream lines(text.substr(from, text.find("\n## ", from + 1) - from));
  std::size_t wanted = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| ")) continue;
    std::vector<std::string> row;
    for (std::size_t at = 2; at < line.size();) {
      const std::size_t end = line.find(" |", at);
      row.push_back(line.substr(at, end - at));
      at = end + 3;
    }
    if (row[0] == "source") {
      wanted = static_cast<std::size_t>(std::find(row.begin(), row.end(), column) - row.begin());
      EXPECT_LT(wanted, row.size()) << column;
    } else {
      cells[row[0].substr(1, row[0].size() - 2)] = row[wanted];
    }
  }
  return cells;
}

// EVENTS.md says of each source what its adapter does, and names every refusal.
TEST(Samples, TheDocumentationsTablesAreTrue) {
  std::ifstream file(std::string(THAW_SOURCE_DIR) + "/handler/EVENTS.md");
  std::ostringstream read;
  read << file.rdbuf();
  const std::string text = read.str();
  const auto http = table(text, "HTTP", "answer");
  const auto content = table(text, "Records", "content");
  const auto failures = table(text, "Records", "a failed record");
  std::size_t count = 0;
  for (const event::Adapter* adapter : event::adapters()) {
    const std::string name(adapter->source);
    ++count;
    if (adapter->http != nullptr) {
      EXPECT_TRUE(http.contains(name)) << name;
      continue;
    }
    ASSERT_TRUE(content.contains(name)) << name;
    std::string path;
    for (const std::string_view step : adapter->records->content) {
      path += (path.empty() ? "`" : " `") + std::string(step) + "`";
    }
    if (adapter->records->tells) path += path.empty() ? "the record" : ", or the record";
    EXPECT_EQ(content.at(name), path) << name;
    EXPECT_EQ(failures.at(name),
              adapter->records->takes_failures ? "is named" : "fails the invocation")
        << name;
  }
  EXPECT_EQ(http.size() + content.size(), count) << "a row without an adapter";
  const std::string refused = text.substr(text.find("## Refused by name"));
  std::set<std::string> named;
  for (const auto& [sample, answer] : kExpected) {
    if (is_answered(answer) || answer == kNotJson || answer == kUnknown) continue;
    if (answer.find("aws:") == 0) continue;  // those that name themselves
    named.insert(std::string(answer));
    EXPECT_NE(refused.find("`" + std::string(answer) + "`"), std::string::npos) << answer;
  }
  EXPECT_EQ(std::count(refused.begin(), refused.end(), '`') / 2,
            static_cast<std::ptrdiff_t>(named.size()) + 2)
      << "each named once, beside the error's type and `eventSource`";
}

// A real event becomes one of ours by its path, method and body; all else stays as it was.
TEST(Samples, AreAnsweredWhenTheyAskForSomethingThatIsThere) {
  const auto replaced = [](std::string text, std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
      text.replace(at, from.size(), to);
    }
    return text;
  };
  const std::string body = R"("body":"{\"prompt\":\"Hi\"}")";
  const std::string samples[] = {
      replaced(replaced(read_sample("aws-lambda-go/apigw-request.json"), "hello/world", "predict"),
               R"("body": "{\r\n\t\"a\": 1\r\n}")", body),
      replaced(replaced(read_sample("aws-lambda-go-lambdaurl/function-url-request-with-headers-and-"
                                    "cookies-and-text-body.json"),
                        "/hello", "/predict"),
               R"("body": "{\"hello\": \"world\"}")", body),
      replaced(replaced(replaced(read_sample("aws-lambda-go/alb-lambda-target-request-headers-"
                                             "only.json"),
                                 R"("path": "/")", R"("path": "/predict")"),
                        "GET", "POST"),
               R"("body": "")", body),
      replaced(replaced(replaced(read_sample("aws-lambda-go/apigw-v2-request-no-authorizer.json"),
                                 R"("rawPath": "/")", R"("rawPath": "/predict")"),
                        "GET", "POST"),
               R"("rawQueryString": "")", body),
      replaced(replaced(replaced(read_sample("transcribed/fc-http-trigger-v1.json"), "/example",
                                 "/predict"),
                        "GET", "POST"),
               R"("body":"Hello FC!")", body),
  };
  for (const std::string& event : samples) {
    House house;
    const Outcome outcome = house.handle(event);
    ASSERT_FALSE(outcome.error.has_value()) << event;
    const auto answer = json::Document::parse(outcome.body);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->root()["statusCode"].as_int64(), 200) << event << outcome.body;
    EXPECT_TRUE(answer->root()["body"].text().starts_with(R"({"text":"Hello, world",)"));
    EXPECT_EQ(house.generator.requests.size(), 1u);
  }
}

}  // namespace
}  // namespace thaw::handler
