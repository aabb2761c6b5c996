// Fronts before a real function: which route, what the function gets, what the caller hears.
#include "emulator_fixture.h"
#include "runtime/http/socket.h"

namespace thaw::emulator {
namespace {

class GatewayTest : public EmulatorTest {
 protected:
  http::Response get(std::string_view target, http::Fields headers = {}) {
    return send(*client(), "GET", target, "", std::move(headers));
  }
  // What the function was given, from what it echoes in a body.
  static Json event_of(const http::Response& answer) {
    const Json echo = Json::parse(answer.body, nullptr, false);
    return echo.is_object() ? echo.value("event", Json()) : Json();
  }
};

TEST_F(GatewayTest, EveryFunctionHasEveryFront) {
  start();
  const auto http = get("/http/chat/a/b?x=1");
  EXPECT_EQ(http.status, 200);
  EXPECT_EQ(event_of(http)["version"], "2.0");
  EXPECT_EQ(event_of(http)["rawPath"], "/a/b");
  const auto rest = get("/rest/chat/Prod/a/b?x=1");
  EXPECT_EQ(rest.status, 200);
  EXPECT_EQ(event_of(rest)["resource"], "/{proxy+}");
  EXPECT_EQ(event_of(rest)["pathParameters"]["proxy"], "a/b");
  EXPECT_EQ(event_of(get("/rest/chat/Prod"))["resource"], "/");
  EXPECT_TRUE(event_of(get("/alb/chat/x"))["requestContext"].contains("elb"));
  EXPECT_TRUE(event_of(get("/alb-multi/chat/x")).contains("multiValueHeaders"));
  EXPECT_EQ(event_of(get("/fc/chat/x"))["version"], "v1");
  EXPECT_EQ(event_of(get("/url/chat/x"))["rawPath"], "/x");
  EXPECT_EQ(event_of(get("/anything"))["rawPath"], "/anything") << "the only function's URL";
}

TEST_F(GatewayTest, AHostNamesAFront) {
  start();
  // The event of a request that is written by hand: a Client has a Host of its own.
  const auto event_at = [&](const std::string& host, const std::string& path) {
    const auto addresses = http::parse_authority(emulator->authority());
    auto socket = http::connect_to(addresses->front(), {}, -1);
    const std::string text = "GET " + path + " HTTP/1.0\r\nHost: " + host + "\r\n\r\n";
    EXPECT_TRUE(socket->write_all(text, std::chrono::seconds(5), -1));
    std::string all;
    char part[4096];
    for (std::size_t got = 1; got != 0; all.append(part, got)) {
      got = socket->read_some(part, {}, -1).value();
    }
    return Json::parse(all.substr(all.find("\r\n\r\n") + 4), nullptr, false)["event"];
  };
  EXPECT_EQ(event_at("chat.lambda-url.localhost", "/x")["rawPath"], "/x");
  EXPECT_EQ(event_at("chat.http-api.localhost:9000", "/x")["version"], "2.0");
  EXPECT_EQ(event_at("chat.rest-api.localhost", "/Prod/x")["path"], "/x");
  EXPECT_TRUE(event_at("chat.alb.localhost", "/x")["requestContext"].contains("elb"));
}

TEST_F(GatewayTest, RoutesByTheConfiguredApis) {
  FunctionOptions other = function;
  other.name = "other";
  options.functions.push_back(other);
  options.apis = {{Api::Kind::kHttp,
                   "shop",
                   "v1",
                   {{"GET", "/items/{id}", "chat"}, {"ANY", "$default", "other"}}},
                  {Api::Kind::kRest, "shop", "dev", {{"POST", "/items", "chat"}}}};
  start();
  const Json one = event_of(get("/http/shop/v1/items/7"));
  EXPECT_EQ(one["routeKey"], "GET /items/{id}");
  EXPECT_EQ(one["rawPath"], "/v1/items/7");
  EXPECT_EQ(one["pathParameters"]["id"], "7");
  EXPECT_EQ(event_of(get("/http/shop/v1/else"))["routeKey"], "$default");
  const auto no_stage = get("/http/shop/items/7");
  EXPECT_EQ(no_stage.status, 404);
  EXPECT_EQ(no_stage.body, R"({"message":"Not Found"})");
  const auto no_route = get("/rest/shop/dev/items");
  EXPECT_EQ(no_route.status, 403);
  EXPECT_EQ(no_route.body, R"({"message":"Missing Authentication Token"})");
  EXPECT_EQ(get("/rest/shop/prod/items").body, R"({"message":"Forbidden"})");
  EXPECT_EQ(post("/rest/shop/dev/items", "{}").status, 200);
  expect_aws_error(get("/http/chat/x"), 404, "ResourceNotFoundException");
}

TEST_F(GatewayTest, AFailureLooksAsItDoesBehindEachFront) {
  start();
  const auto fails = [&](std::string_view target) {
    return post(target, R"({"do":"error"})", {{"Content-Type", "application/json"}});
  };
  EXPECT_EQ(fails("/http/chat/").status, 500);
  EXPECT_EQ(fails("/http/chat/").body, R"({"message":"Internal Server Error"})");
  EXPECT_EQ(fails("/rest/chat/Prod").status, 502);
  EXPECT_EQ(fails("/rest/chat/Prod").body, R"({"message":"Internal server error"})");
  EXPECT_EQ(fails("/alb/chat/").status, 502);
  EXPECT_EQ(fails("/alb/chat/").headers.get("Server"), "awselb/2.0");
  EXPECT_EQ(fails("/fc/chat/").headers.get("X-Fc-Error-Type"), "UnhandledInvocationError");
  const auto garbage = [&](std::string_view target) {
    return post(target, R"({"do":"raw","body":"{}"})", {{"Content-Type", "application/json"}});
  };
  EXPECT_EQ(garbage("/rest/chat/Prod").status, 502);
  EXPECT_EQ(garbage("/alb/chat/").status, 502);
  EXPECT_EQ(garbage("/http/chat/").status, 200) << "payload 2.0 takes any JSON";
  EXPECT_EQ(
      post("/rest/chat/Prod", R"({"do":"stream"})", {{"Content-Type", "application/json"}}).status,
      502);
  EXPECT_TRUE(logged("this front does not stream"));
}

TEST_F(GatewayTest, AThrottleLooksAsItDoesBehindEachFront) {
  function.reserved_concurrency = 0;
  start();
  EXPECT_EQ(get("/http/chat/").status, 503);
  EXPECT_EQ(get("/rest/chat/Prod").status, 500);
  EXPECT_EQ(get("/alb/chat/").status, 502);
  EXPECT_EQ(get("/fc/chat/").status, 429);
  EXPECT_EQ(get("/url/chat/").status, 429);
}

TEST_F(GatewayTest, LimitsBodies) {
  start();
  const std::string large((1 << 20) + 1, 'x');
  EXPECT_EQ(post("/alb/chat/", large).status, 413);
  EXPECT_EQ(post("/http/chat/", std::string((6 << 20) + 1, 'x')).status, 413);
  EXPECT_EQ(post("/rest/chat/Prod", std::string(5 << 20, '\xff')).status, 413) << "base64 is more";
  const auto answer = post("/alb/chat/",
                           R"({"do":"raw","body":"{\"statusCode\":200,\"body\":\")" +
                               std::string(900'000, 'x') + R"(\"}"})",
                           {{"Content-Type", "application/json"}});
  EXPECT_EQ(answer.status, 200);
}

TEST_F(GatewayTest, AnswersCrossOriginRequestsAsConfigured) {
  function.cors = Cors{{"https://a.example"}, {"GET"}, {}, {}, false, 60};
  start();
  const auto asked =
      send(*client(), "OPTIONS", "/url/chat/", "",
           {{"Origin", "https://a.example"}, {"Access-Control-Request-Method", "GET"}});
  EXPECT_EQ(asked.status, 200);
  EXPECT_EQ(asked.headers.get("Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_EQ(emulator->instance_count(), 0u) << "no function was asked";
  const auto answer = get("/url/chat/", {{"Origin", "https://a.example"}});
  EXPECT_EQ(answer.headers.get("Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_FALSE(get("/url/chat/", {{"Origin", "https://b.example"}})
                   .headers.has("Access-Control-Allow-Origin"));
  const auto streamed =
      post("/url/chat/", R"({"do":"stream"})",
           {{"Origin", "https://a.example"}, {"Content-Type", "application/json"}});
  EXPECT_EQ(streamed.status, 201);
  EXPECT_EQ(streamed.headers.get("Access-Control-Allow-Origin"), "https://a.example");
}

TEST_F(GatewayTest, SpeaksFunctionComputesInvokeApi) {
  start();
  constexpr std::string_view kFcInvoke = "/2023-03-30/functions/chat/invocations";
  const auto answer = post(kFcInvoke, R"({"n":1})", {{"X-Fc-Log-Type", "Tail"}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(event_of(answer)["n"], 1);
  EXPECT_TRUE(answer.headers.has("X-Fc-Request-Id"));
  EXPECT_TRUE(answer.headers.has("X-Fc-Log-Result"));
  const auto failed = post(kFcInvoke, R"({"do":"error"})");
  EXPECT_EQ(failed.status, 200);
  EXPECT_EQ(failed.headers.get("X-Fc-Error-Type"), "UnhandledInvocationError");
  const auto later = post(kFcInvoke, R"({"do":"print"})", {{"X-Fc-Invocation-Type", "Async"}});
  EXPECT_EQ(later.status, 202);
  EXPECT_TRUE(logged("doing print"));
  const auto code = [&](const http::Response& refused) {
    return std::to_string(refused.status) + " " +
           Json::parse(refused.body, nullptr, false).value("Code", "");
  };
  EXPECT_EQ(code(post("/2023-03-30/functions/nobody/invocations", "{}")), "404 FunctionNotFound");
  EXPECT_EQ(code(post(kFcInvoke, "{}", {{"X-Fc-Invocation-Type", "x"}})), "400 InvalidArgument");
  EXPECT_EQ(
      code(post(kFcInvoke, std::string((128 << 10) + 1, 'x'), {{"X-Fc-Invocation-Type", "Async"}})),
      "400 InvalidArgument");
  EXPECT_EQ(code(post(kFcInvoke, std::string((6 << 20) + 1, 'x'))), "413 PayloadTooLarge");
}

}  // namespace
}  // namespace thaw::emulator
