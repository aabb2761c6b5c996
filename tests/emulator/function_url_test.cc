#include "runtime/emulator/function_url.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/emulator/text.h"

namespace thaw::emulator {
namespace {

using Json = nlohmann::json;

class UrlEventTest : public testing::Test {
 protected:
  Json event(std::string_view method, std::string_view path, std::string_view query,
             std::string_view body) {
    return Json::parse(
        url_event({method, path, query, headers, body, "127.0.0.1", "request-1", "Root=1-2-3",
                   "eu-west-1", "chat", Clock::Wall(std::chrono::milliseconds(1583348638390))}));
  }
  http::Fields headers;
};

TEST_F(UrlEventTest, IsAwssShape) {
  headers = {{"Host", "localhost:9000"},
             {"X-Two", "a"},
             {"x-two", "b"},
             {"Cookie", "one=1; two=2"},
             {"User-Agent", "t"},
             {"cookie", "three=3"},
             {"Content-Type", "application/json; charset=utf-8"}};
  const Json json = event("POST", "/v1/chat%20x", "a=1&a=2&b=x%20y+z&c", R"({"prompt":"hi"})");
  EXPECT_EQ(json["version"], "2.0");
  EXPECT_EQ(json["routeKey"], "$default");
  EXPECT_EQ(json["rawPath"], "/v1/chat%20x");
  EXPECT_EQ(json["rawQueryString"], "a=1&a=2&b=x%20y+z&c");
  EXPECT_EQ(json["cookies"], Json::parse(R"(["one=1","two=2","three=3"])"));
  EXPECT_EQ(json["headers"]["x-two"], "a,b");
  EXPECT_EQ(json["headers"]["host"], "localhost:9000");
  EXPECT_EQ(json["headers"]["x-forwarded-for"], "127.0.0.1");
  EXPECT_EQ(json["headers"]["x-amzn-trace-id"], "Root=1-2-3");
  EXPECT_FALSE(json["headers"].contains("cookie"));
  EXPECT_FALSE(json["headers"].contains("X-Two"));
  EXPECT_EQ(json["queryStringParameters"], Json::parse(R"({"a":"1,2","b":"x y z","c":""})"));
  EXPECT_EQ(json["body"], R"({"prompt":"hi"})");
  EXPECT_EQ(json["isBase64Encoded"], false);
  const Json& context = json["requestContext"];
  EXPECT_EQ(context["http"], Json::parse(R"({"method":"POST","path":"/v1/chat%20x",
      "protocol":"HTTP/1.1","sourceIp":"127.0.0.1","userAgent":"t"})"));
  EXPECT_EQ(context["time"], "04/Mar/2020:19:03:58 +0000");
  EXPECT_EQ(context["timeEpoch"], 1583348638390);
  EXPECT_EQ(context["requestId"], "request-1");
  EXPECT_EQ(context["apiId"].get<std::string>().size(), 32u);
  EXPECT_EQ(context["domainName"].get<std::string>(),
            context["apiId"].get<std::string>() + ".lambda-url.eu-west-1.on.aws");
}

TEST_F(UrlEventTest, LeavesOutWhatThereIsNot) {
  const Json json = event("GET", "/", "", "");
  EXPECT_FALSE(json.contains("cookies"));
  EXPECT_FALSE(json.contains("queryStringParameters"));
  EXPECT_FALSE(json.contains("body"));
  EXPECT_EQ(json["isBase64Encoded"], false);
}

TEST_F(UrlEventTest, EncodesABodyThatIsNotText) {
  const std::pair<const char*, bool> types[] = {{"text/plain", false},
                                                {"application/json", false},
                                                {"application/xml", false},
                                                {"application/javascript", false},
                                                {"TEXT/HTML", false},
                                                {"application/problem+json", false},
                                                {"image/png", true},
                                                {"application/x-www-form-urlencoded", true},
                                                {"application/octet-stream", true}};
  for (const auto& [type, encoded] : types) {
    headers = {{"Content-Type", type}};
    const Json json = event("POST", "/", "", "abc");
    EXPECT_EQ(json["isBase64Encoded"], encoded) << type;
    EXPECT_EQ(json["body"], encoded ? "YWJj" : "abc") << type;
  }
  headers = {};
  EXPECT_EQ(event("POST", "/", "", "abc")["isBase64Encoded"], true) << "no type at all";
  headers = {{"Content-Type", "text/plain"}};
  const Json json = event("POST", "/", "", "\xff\xfe");
  EXPECT_EQ(json["isBase64Encoded"], true) << "text that is not UTF-8";
  EXPECT_EQ(json["body"], "//4=");
}

TEST(UrlAnswer, SaysStatusHeadersCookiesAndBody) {
  const auto answer = url_answer(R"({"statusCode":201,"headers":{"X-A":"1","x-n":5,
      "Content-Length":"999","transfer-encoding":"chunked"},"cookies":["a=1","b=2"],
      "multiValueHeaders":{"x-m":["p","q"]},"body":"aGk=","isBase64Encoded":true})");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->head.status, 201);
  EXPECT_EQ(answer->body, "hi");
  std::string headers;
  for (const auto& field : answer->head.headers) headers += field.name + "=" + field.value + ";";
  EXPECT_EQ(headers,
            "X-A=1;x-n=5;x-m=p;x-m=q;Set-Cookie=a=1;Set-Cookie=b=2;Content-Type=application/json;");
}

TEST(UrlAnswer, IsABodyWhereThereIsNoStatusCode) {
  for (const auto& [text, body] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"({"text":"hi"})", R"({"text":"hi"})"},
           {"[1,2]", "[1,2]"},
           {R"("hi")", "hi"},
           {"null", "null"}}) {
    const auto answer = url_answer(text);
    ASSERT_TRUE(answer) << text;
    EXPECT_EQ(answer->head.status, 200);
    EXPECT_EQ(answer->body, body);
    EXPECT_EQ(answer->head.headers.get("content-type"), "application/json");
  }
}

TEST(UrlAnswer, RefusesWhatIsNone) {
  for (const char* bad :
       {"", "{", "hi", R"({"statusCode":"200"})", R"({"statusCode":20})", R"({"statusCode":600})",
        R"({"statusCode":1.5})", R"({"statusCode":200,"headers":[]})",
        R"({"statusCode":200,"headers":{"a":{}}})", R"({"statusCode":200,"cookies":"a"})",
        R"({"statusCode":200,"cookies":[1]})",
        R"({"statusCode":200,"multiValueHeaders":{"a":"b"}})",
        R"({"statusCode":200,"body":"@","isBase64Encoded":true})"}) {
    const auto answer = url_answer(bad);
    ASSERT_FALSE(answer) << bad;
    EXPECT_EQ(answer.error().code, Code::kInvalid);
  }
}

TEST(UrlPrelude, IsReadOrRefused) {
  const auto head = url_prelude(R"({"statusCode":204,"headers":{"a":"b"},"cookies":["c=d"]})");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 204);
  EXPECT_EQ(head->headers.get("set-cookie"), "c=d");
  EXPECT_EQ(url_prelude("{}")->status, 200);
  EXPECT_FALSE(url_prelude("[]"));
  EXPECT_FALSE(url_prelude("x"));
}

TEST(PercentDecode, LeavesWhatIsNotEncoded) {
  EXPECT_EQ(percent_decode("a%20b+c%zz%4", false), "a b+c%zz%4");
  EXPECT_EQ(percent_decode("a+b%2B%", true), "a b+%");
  EXPECT_EQ(percent_decode("%41", false), "A");
}

TEST(Ids, AreWellFormedAndDifferent) {
  Ids ids(1);
  const std::string first = ids.request_id();
  EXPECT_EQ(first.size(), 36u);
  EXPECT_EQ(first[14], '4');
  EXPECT_NE(first, ids.request_id());
  const std::string trace = ids.trace_id(Clock::Wall(std::chrono::seconds(0x5e1be3f2)));
  EXPECT_EQ(trace.substr(0, 16), "Root=1-5e1be3f2-");
}

}  // namespace
}  // namespace thaw::emulator
