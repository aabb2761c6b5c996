// What clients ask about functions and set.
#include <set>

#include "emulator_fixture.h"

namespace thaw::emulator {
namespace {

class ControlTest : public EmulatorTest {
 protected:
  http::Response get(std::string_view target) { return send(*client(), "GET", target, ""); }
  http::Response put(std::string_view target, std::string_view body) {
    return send(*client(), "PUT", target, body);
  }
  static constexpr std::string_view kConfig = "/2019-09-25/functions/chat/event-invoke-config";
  static constexpr std::string_view kPutConcurrency = "/2017-10-31/functions/chat/concurrency";
  static constexpr std::string_view kGetConcurrency = "/2019-09-30/functions/chat/concurrency";
};

TEST_F(ControlTest, DescribesAFunction) {
  function.environment = {"MODEL=small"};
  function.timeout = std::chrono::milliseconds(1500);
  start();
  const auto answer = get("/2015-03-31/functions/chat");
  ASSERT_EQ(answer.status, 200);
  const Json document = Json::parse(answer.body);
  const Json& configuration = document["Configuration"];
  EXPECT_EQ(configuration["FunctionName"], "chat");
  EXPECT_EQ(configuration["FunctionArn"], "arn:aws:lambda:us-east-1:123456789012:function:chat");
  EXPECT_EQ(configuration["Handler"], "thaw_fake.thaw");
  EXPECT_EQ(configuration["CodeSize"], 1);
  EXPECT_EQ(configuration["Timeout"], 2);
  EXPECT_EQ(configuration["MemorySize"], 512);
  EXPECT_EQ(configuration["State"], "Active");
  EXPECT_EQ(configuration["Environment"]["Variables"], (Json{{"MODEL", "small"}}));
  EXPECT_FALSE(document.contains("Concurrency"));
  EXPECT_EQ(Json::parse(
                get("/2015-03-31/functions/chat/configuration?Qualifier=PROD").body)["FunctionArn"],
            "arn:aws:lambda:us-east-1:123456789012:function:chat:PROD");
  expect_aws_error(get("/2015-03-31/functions/other"), 404, "ResourceNotFoundException");
  expect_aws_error(get("/2015-03-31/functions/a%20b"), 400, "ValidationException");
  expect_aws_error(get("/2015-03-31/functions/chat:A?Qualifier=B"), 400, "ValidationException");
}

TEST_F(ControlTest, ListsFunctionsInPages) {
  for (int i = 0; i < 60; ++i) {
    FunctionOptions more = function;
    more.name = "more" + std::to_string(100 + i);
    options.functions.push_back(more);
  }
  start();
  const Json first = Json::parse(get("/2015-03-31/functions/").body);
  EXPECT_EQ(first["Functions"].size(), 50u);
  const Json last = Json::parse(
      get("/2015-03-31/functions?Marker=" + first["NextMarker"].get<std::string>()).body);
  EXPECT_EQ(last["Functions"].size(), 11u);
  EXPECT_FALSE(last.contains("NextMarker"));
  std::set<std::string> names;
  for (const Json& page : {first, last}) {
    for (const Json& each : page["Functions"]) names.insert(each["FunctionName"]);
  }
  EXPECT_EQ(names.size(), 61u);
  EXPECT_EQ(Json::parse(get("/2015-03-31/functions?MaxItems=7").body)["Functions"].size(), 7u);
  for (const char* bad : {"0", "10001", "x", "-1", "99999999999999999999"}) {
    expect_aws_error(get(std::string("/2015-03-31/functions?MaxItems=") + bad), 400,
                     "InvalidParameterValueException");
  }
  EXPECT_EQ(Json::parse(get("/2016-08-19/account-settings/").body)["AccountUsage"]["FunctionCount"],
            61);
}

TEST_F(ControlTest, ReservesConcurrency) {
  start();
  EXPECT_EQ(Json::parse(get(kGetConcurrency).body), Json::object());
  const auto answer = put(kPutConcurrency, R"({"ReservedConcurrentExecutions":7})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(Json::parse(answer.body), (Json{{"ReservedConcurrentExecutions", 7}}));
  EXPECT_EQ(Json::parse(get(kGetConcurrency).body)["ReservedConcurrentExecutions"], 7);
  EXPECT_EQ(Json::parse(get("/2015-03-31/functions/chat").body)["Concurrency"],
            (Json{{"ReservedConcurrentExecutions", 7}}));
  for (const char* bad :
       {"{}", R"({"ReservedConcurrentExecutions":-1})", R"({"ReservedConcurrentExecutions":"2"})",
        R"({"ReservedConcurrentExecutions":901})",
        R"({"ReservedConcurrentExecutions":18446744073709551615})"}) {
    expect_aws_error(put(kPutConcurrency, bad), 400, "InvalidParameterValueException");
  }
  for (const char* bad : {"", "[]", "{", R"({"a":[[[[[[[[[[1]]]]]]]]]]})"}) {
    EXPECT_EQ(put(kPutConcurrency, bad).status, 400) << bad;
  }
  expect_aws_error(
      put("/2017-10-31/functions/chat:PROD/concurrency", R"({"ReservedConcurrentExecutions":1})"),
      400, "InvalidParameterValueException");
  EXPECT_EQ(put(kPutConcurrency, std::string(70'000, ' ')).status, 413);
  EXPECT_EQ(send(*client(), "DELETE", kPutConcurrency, "").status, 204);
  EXPECT_EQ(Json::parse(get(kGetConcurrency).body), Json::object());
}

TEST_F(ControlTest, KeepsConfigurationsOfAsynchronousInvocations) {
  start();
  expect_aws_error(get(kConfig), 404, "ResourceNotFoundException");
  expect_aws_error(post(kConfig, "{}"), 404, "ResourceNotFoundException");
  const auto answer = put(kConfig, R"({"MaximumRetryAttempts":1,"MaximumEventAgeInSeconds":60,
      "DestinationConfig":{"OnFailure":{"Destination":"file:failed.jsonl"}}})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const Json set = Json::parse(answer.body);
  EXPECT_EQ(set["MaximumRetryAttempts"], 1);
  EXPECT_EQ(set["MaximumEventAgeInSeconds"], 60);
  EXPECT_EQ(set["DestinationConfig"]["OnFailure"]["Destination"], "file:failed.jsonl");
  EXPECT_EQ(set["FunctionArn"], "arn:aws:lambda:us-east-1:123456789012:function:chat:$LATEST");
  EXPECT_TRUE(set["LastModified"].is_number_float());
  EXPECT_EQ(Json::parse(get(kConfig).body), set);
  // An update leaves what it does not name; a put does not.
  EXPECT_EQ(
      Json::parse(post(kConfig, R"({"MaximumRetryAttempts":0})").body)["MaximumEventAgeInSeconds"],
      60);
  EXPECT_FALSE(Json::parse(put(kConfig, R"({"MaximumRetryAttempts":0})").body)
                   .contains("MaximumEventAgeInSeconds"));
  EXPECT_EQ(put(std::string(kConfig) + "?Qualifier=PROD", "{}").status, 200);
  EXPECT_EQ(
      Json::parse(get(std::string(kConfig) + "/list").body)["FunctionEventInvokeConfigs"].size(),
      2u);
  for (const char* bad : {R"({"MaximumRetryAttempts":3})", R"({"MaximumRetryAttempts":"1"})",
                          R"({"MaximumEventAgeInSeconds":59})", R"({"DestinationConfig":1})",
                          R"({"DestinationConfig":{"OnFailure":1}})",
                          R"({"DestinationConfig":{"OnFailure":{"Destination":1}}})",
                          R"({"DestinationConfig":{"OnFailure":{"Destination":"x"}}})",
                          R"({"DestinationConfig":{"OnSuccess":{"Destination":)"
                          R"("arn:aws:lambda:us-east-1:123456789012:function:none"}}})"}) {
    expect_aws_error(put(kConfig, bad), 400, "InvalidParameterValueException");
  }
  EXPECT_EQ(send(*client(), "DELETE", kConfig, "").status, 204);
  expect_aws_error(send(*client(), "DELETE", kConfig, ""), 404, "ResourceNotFoundException");
}

TEST_F(ControlTest, TellsAFunctionsUrlAndRefusesOtherOperations) {
  start();
  const Json url = Json::parse(get("/2021-10-31/functions/chat/url").body);
  EXPECT_EQ(url["FunctionUrl"], "http://" + emulator->authority() + "/url/chat/");
  EXPECT_EQ(url["InvokeMode"], "RESPONSE_STREAM");
  expect_aws_error(send(*client(), "DELETE", "/2015-03-31/functions/chat", ""), 404,
                   "UnknownOperationException");
  expect_aws_error(get("/2099-01-01/nothing"), 404, "UnknownOperationException");
}

TEST_F(ControlTest, TakesOnlyWhatMayBeJson) {
  start();
  for (const char* type : {"text/plain", "image/png", "multipart/form-data", "application/xml"}) {
    expect_aws_error(invoke("{}", {{"Content-Type", type}}), 415, "UnsupportedMediaTypeException");
  }
  for (const char* type : {"application/json; charset=utf-8", "application/octet-stream",
                           "application/x-www-form-urlencoded", "application/vnd.x+json"}) {
    EXPECT_EQ(invoke("{}", {{"Content-Type", type}, {"X-Amz-Invocation-Type", "DryRun"}}).status,
              204);
  }
}

}  // namespace
}  // namespace thaw::emulator
