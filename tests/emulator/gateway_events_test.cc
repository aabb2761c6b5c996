#include "runtime/emulator/gateway_events.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/emulator/cors.h"
#include "runtime/emulator/routes.h"

namespace thaw::emulator {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

class GatewayEventsTest : public testing::Test {
 protected:
  UrlRequest request(std::string_view body = "") {
    return {"POST",
            "/items/a%20b",
            "x=1&x=2&y=%41+b",
            headers,
            body,
            "127.0.0.1",
            "id-1",
            "Root=1",
            "eu-1",
            "chat",
            Clock::Wall(1583348638s),
            "shop",
            "POST /items/{id}",
            "Prod",
            {{"id", "a b"}}};
  }
  http::Fields headers{
      {"Accept", "a"}, {"Accept", "b"}, {"X-One", "1"}, {"Content-Type", "application/json"}};
};

TEST_F(GatewayEventsTest, RestHasPayloadOne) {
  const Json event = Json::parse(rest_event(request("{}"), "/items/{id}"));
  EXPECT_EQ(event["resource"], "/items/{id}");
  EXPECT_EQ(event["path"], "/items/a%20b");
  EXPECT_EQ(event["httpMethod"], "POST");
  EXPECT_EQ(event["headers"]["Accept"], "b") << "the last one";
  EXPECT_EQ(event["multiValueHeaders"]["Accept"], (Json{"a", "b"}));
  EXPECT_EQ(event["queryStringParameters"], (Json{{"x", "2"}, {"y", "A b"}}));
  EXPECT_EQ(event["multiValueQueryStringParameters"]["x"], (Json{"1", "2"}));
  EXPECT_EQ(event["pathParameters"], (Json{{"id", "a b"}}));
  EXPECT_TRUE(event["stageVariables"].is_null());
  EXPECT_EQ(event["body"], "{}");
  EXPECT_EQ(event["isBase64Encoded"], false);
  const Json& context = event["requestContext"];
  EXPECT_EQ(context["path"], "/Prod/items/a%20b");
  EXPECT_EQ(context["stage"], "Prod");
  EXPECT_EQ(context["resourcePath"], "/items/{id}");
  EXPECT_EQ(context["requestTime"], "04/Mar/2020:19:03:58 +0000");
  EXPECT_EQ(context["requestTimeEpoch"], 1583348638000);
  EXPECT_EQ(context["identity"]["sourceIp"], "127.0.0.1");
  UrlRequest bare = request();
  bare.query = "";
  bare.path_parameters = {};
  const Json empty = Json::parse(rest_event(bare, "/"));
  for (const char* name :
       {"body", "queryStringParameters", "multiValueQueryStringParameters", "pathParameters"}) {
    EXPECT_TRUE(empty[name].is_null()) << name;
  }
  const Json binary = Json::parse(rest_event(request("\xff\x01"), "/"));
  EXPECT_EQ(binary["body"], "/wE=");
  EXPECT_EQ(binary["isBase64Encoded"], true);
}

TEST_F(GatewayEventsTest, HttpApiTellsRouteStageAndParameters) {
  const Json event = Json::parse(url_event(request("{}")));
  EXPECT_EQ(event["version"], "2.0");
  EXPECT_EQ(event["routeKey"], "POST /items/{id}");
  EXPECT_EQ(event["pathParameters"], (Json{{"id", "a b"}}));
  EXPECT_EQ(event["queryStringParameters"]["x"], "1,2");
  EXPECT_EQ(event["headers"]["accept"], "a,b");
  EXPECT_EQ(event["requestContext"]["stage"], "Prod");
  EXPECT_EQ(event["requestContext"]["accountId"], "123456789012");
  EXPECT_TRUE(event["requestContext"]["domainName"].get<std::string>().ends_with(
      ".execute-api.eu-1.amazonaws.com"));
}

TEST_F(GatewayEventsTest, ABalancerDecodesNoQueryAndHasOneKindOfHeaders) {
  const Json single = Json::parse(balancer_event(request("{}"), false));
  EXPECT_EQ(single["headers"]["accept"], "b");
  EXPECT_EQ(single["queryStringParameters"], (Json{{"x", "2"}, {"y", "%41+b"}}));
  EXPECT_FALSE(single.contains("multiValueHeaders"));
  EXPECT_EQ(single["body"], "{}");
  EXPECT_TRUE(single["requestContext"]["elb"].contains("targetGroupArn"));
  const Json multi = Json::parse(balancer_event(request(), true));
  EXPECT_EQ(multi["multiValueHeaders"]["accept"], (Json{"a", "b"}));
  EXPECT_EQ(multi["multiValueQueryStringParameters"]["x"], (Json{"1", "2"}));
  EXPECT_FALSE(multi.contains("headers"));
  EXPECT_EQ(multi["body"], "");
  headers.add("Content-Encoding", "gzip");
  EXPECT_EQ(Json::parse(balancer_event(request("{}"), false))["isBase64Encoded"], true);
}

TEST_F(GatewayEventsTest, FunctionComputeHasItsOwnShape) {
  const Json event = Json::parse(fc_event(request("{}")));
  EXPECT_EQ(event["version"], "v1");
  EXPECT_EQ(event["rawPath"], "/items/a%20b");
  EXPECT_EQ(event["headers"]["X-One"], "1");
  EXPECT_EQ(event["queryParameters"]["y"], "A b");
  EXPECT_EQ(event["body"], "{}");
  EXPECT_EQ(event["requestContext"]["timeEpoch"], "1583348638000");
  EXPECT_EQ(event["requestContext"]["http"]["method"], "POST");
}

TEST(GatewayAnswers, FollowTheirFront) {
  const char* text = R"({"statusCode":201,"headers":{"a":"1"},"multiValueHeaders":{"b":["2","3"]},
      "body":"aGk=","isBase64Encoded":true})";
  const auto rest = rest_answer(text);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->head.status, 201);
  EXPECT_EQ(rest->body, "hi");
  EXPECT_EQ(rest->head.headers.get("a"), "1");
  EXPECT_EQ(rest->head.headers.get("b"), "2");
  const auto single = balancer_answer(text, false);
  EXPECT_EQ(single->head.headers.get("a"), "1");
  EXPECT_FALSE(single->head.headers.has("b"));
  const auto multi = balancer_answer(text, true);
  EXPECT_EQ(multi->head.headers.get("b"), "2");
  EXPECT_FALSE(multi->head.headers.has("a"));
  EXPECT_EQ(rest_answer(R"({"statusCode":"204"})")->head.status, 204);
  EXPECT_EQ(fc_answer(R"({"statusCode":404,"body":"no"})")->head.status, 404);
  EXPECT_EQ(fc_answer("any text")->body, "any text");
  EXPECT_EQ(fc_answer("[1]")->head.headers.get("content-type"), "application/json");
}

TEST(GatewayAnswers, AreRefusedWhereTheFrontWouldRefuseThem) {
  for (const char* bad :
       {"", "x", "1", "[]", "{}", R"({"body":"no status"})", R"({"statusCode":"x"})",
        R"({"statusCode":99})", R"({"statusCode":600})", R"({"statusCode":200,"body":{}})",
        R"({"statusCode":200,"headers":[]})", R"({"statusCode":200,"headers":{"a":{}}})",
        R"({"statusCode":200,"body":"!","isBase64Encoded":true})"}) {
    const auto answer = rest_answer(bad);
    ASSERT_FALSE(answer) << bad;
    EXPECT_EQ(answer.error().code, Code::kInvalid);
    EXPECT_FALSE(balancer_answer(bad, false)) << bad;
  }
}

std::string matched(const Api& api, std::string_view method, std::string_view path) {
  const auto found = match(api, method, path);
  if (!found) return "nothing";
  std::string text = found->route->function;
  for (const auto& [name, value] : found->path_parameters) text += " " + name + "=" + value;
  return text;
}

TEST(Routes, TheMostSpecificOneWins) {
  const Api api{Api::Kind::kHttp,
                "shop",
                "$default",
                {{"ANY", "$default", "rest"},
                 {"GET", "/items", "list"},
                 {"ANY", "/items", "items"},
                 {"GET", "/items/{id}", "one"},
                 {"GET", "/items/new", "new"},
                 {"ANY", "/items/{proxy+}", "below"},
                 {"GET", "/", "root"}}};
  ASSERT_TRUE(check(api)) << check(api).error().message;
  EXPECT_EQ(matched(api, "GET", "/items"), "list");
  EXPECT_EQ(matched(api, "POST", "/items"), "items");
  EXPECT_EQ(matched(api, "GET", "/items/new"), "new");
  EXPECT_EQ(matched(api, "GET", "/items/a%2Fb"), "one id=a/b");
  EXPECT_EQ(matched(api, "POST", "/items/7"), "below proxy=7");
  EXPECT_EQ(matched(api, "GET", "/items/7/parts/8"), "below proxy=7/parts/8");
  EXPECT_EQ(matched(api, "GET", "/"), "root");
  EXPECT_EQ(matched(api, "POST", "/"), "rest");
  EXPECT_EQ(matched(api, "GET", "/elsewhere"), "rest");
  const Api strict{Api::Kind::kRest, "shop", "Prod", {{"GET", "/{proxy+}", "all"}}};
  EXPECT_EQ(matched(strict, "GET", "/"), "nothing");
  EXPECT_EQ(matched(strict, "POST", "/a"), "nothing");
  EXPECT_EQ(matched(strict, "GET", "/a/b"), "all proxy=a/b");
}

TEST(Routes, AreCheckedAtTheStart) {
  const auto sound = [](Api api) { return check(api).has_value(); };
  EXPECT_TRUE(sound({Api::Kind::kHttp, "a", "$default", {}}));
  EXPECT_FALSE(sound({Api::Kind::kRest, "a", "$default", {}}));
  EXPECT_FALSE(sound({Api::Kind::kHttp, "a b", "$default", {}}));
  EXPECT_FALSE(sound({Api::Kind::kHttp, "a", "", {}}));
  EXPECT_FALSE(sound({Api::Kind::kHttp, "a", "v1", {{"GET", "items", "f"}}}));
  EXPECT_FALSE(sound({Api::Kind::kHttp, "a", "v1", {{"", "/items", "f"}}}));
  EXPECT_FALSE(sound({Api::Kind::kHttp, "a", "v1", {{"GET", "/{rest+}/more", "f"}}}));
  EXPECT_FALSE(sound({Api::Kind::kHttp, "a", "v1", std::vector<Route>(1001, {"GET", "/", "f"})}));
}

TEST(CorsFields, AnswerAPreflightForTheFunction) {
  const Cors cors{{"https://a.example"}, {"GET", "POST"}, {"content-type"}, {"x-mine"}, true, 60};
  const http::Fields asked{{"Origin", "https://a.example"},
                           {"Access-Control-Request-Method", "POST"},
                           {"Access-Control-Request-Headers", "content-type"}};
  EXPECT_TRUE(is_preflight("OPTIONS", asked));
  EXPECT_FALSE(is_preflight("POST", asked));
  EXPECT_FALSE(is_preflight("OPTIONS", {{"Origin", "x"}}));
  const http::Fields fields = cors_fields(cors, asked, true);
  EXPECT_EQ(fields.get("Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_EQ(fields.get("Access-Control-Allow-Methods"), "GET,POST");
  EXPECT_EQ(fields.get("Access-Control-Allow-Headers"), "content-type");
  EXPECT_EQ(fields.get("Access-Control-Allow-Credentials"), "true");
  EXPECT_EQ(fields.get("Access-Control-Max-Age"), "60");
  EXPECT_FALSE(fields.has("Access-Control-Expose-Headers"));
  const http::Fields later = cors_fields(cors, asked, false);
  EXPECT_EQ(later.get("Access-Control-Expose-Headers"), "x-mine");
  EXPECT_FALSE(later.has("Access-Control-Max-Age"));
  EXPECT_TRUE(cors_fields(cors, {{"Origin", "https://b.example"}}, false).empty());
  EXPECT_TRUE(cors_fields(cors, {}, false).empty());
  const Cors any{{"*"}, {"*"}, {"*"}, {}, false, {}};
  EXPECT_EQ(cors_fields(any, asked, true).get("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(cors_fields(any, asked, true).get("Access-Control-Allow-Methods"), "*");
  EXPECT_EQ(cors_fields(any, asked, true).get("Access-Control-Allow-Headers"), "content-type");
}

}  // namespace
}  // namespace thaw::emulator
