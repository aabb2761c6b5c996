// The HTTP surface: routes, methods, media types, and errors as answers.
#include <gtest/gtest.h>

#include "base/str.h"
#include "fakes.h"
#include "handler/event/json_writer.h"
#include "handler/http_surface.h"

namespace thaw::handler {
namespace {

HttpAnswer ask(House& house, std::string_view method, std::string_view path,
               std::string_view body = "", std::string_view content_type = "application/json") {
  return answer_of(house.handle(url_event(method, path, body, content_type)));
}

// An error's status and its four fields, exactly.
void expect_error(const HttpAnswer& answer, int status, std::string_view code,
                  std::string_view type = "invalid_request_error") {
  EXPECT_EQ(answer.status, status) << answer.body;
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  EXPECT_EQ(at(answer.body, "/error/type"), cat('"', type, '"'));
  EXPECT_EQ(at(answer.body, "/error/code"), cat('"', code, '"'));
  EXPECT_TRUE(at(answer.body, "/error/message").starts_with('"'));
  EXPECT_NE(at(answer.body, "/error/param"), "");
}

TEST(HttpSurface, HealthIsOk) {
  House house;
  const HttpAnswer answer = ask(house, "GET", "/healthz");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"status":"ok"})");
  EXPECT_EQ(answer.headers, (std::map<std::string, std::string>{
                                {"content-type", "application/json"},
                                {"x-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"}}));
}

TEST(HttpSurface, ModelsAreTheOne) {
  House house;
  house.clock.advance(std::chrono::seconds(1700000000));
  const std::string model =
      R"({"id":"tiny","object":"model","created":1700000000,"owned_by":"thaw"})";
  EXPECT_EQ(ask(house, "GET", "/v1/models").body, R"({"object":"list","data":[)" + model + "]}");
  EXPECT_EQ(ask(house, "GET", "/v1/models/tiny").body, model);
  expect_error(ask(house, "GET", "/v1/models/other"), 404, "model_not_found");
  expect_error(ask(house, "GET", "/v1/models/"), 404, "unknown_url");
}

TEST(HttpSurface, HeadIsGetWithoutItsBody) {
  House house;
  for (const std::string_view path : {"/healthz", "/v1/models", "/v1/models/tiny"}) {
    const HttpAnswer get = ask(house, "GET", path);
    const HttpAnswer head = ask(house, "HEAD", path);
    EXPECT_EQ(head.status, get.status);
    EXPECT_EQ(head.headers, get.headers);
    EXPECT_EQ(head.body, "");
    EXPECT_NE(get.body, "");
  }
}

TEST(HttpSurface, OptionsSaysWhatIsAllowed) {
  House house;
  for (const auto& [path, allow] : {std::pair("/predict", "POST, OPTIONS"),
                                    {"/v1/chat/completions", "POST, OPTIONS"},
                                    {"/v1/completions", "POST, OPTIONS"},
                                    {"/v1/models", "GET, HEAD, OPTIONS"},
                                    {"/healthz", "GET, HEAD, OPTIONS"}}) {
    const HttpAnswer answer = ask(house, "OPTIONS", path);
    EXPECT_EQ(answer.status, 204);
    EXPECT_EQ(answer.headers.at("allow"), allow);
    EXPECT_EQ(answer.headers.count("content-type"), 0u);
    EXPECT_EQ(answer.body, "");
  }
  expect_error(ask(house, "OPTIONS", "/nothing"), 404, "unknown_url");
}

TEST(HttpSurface, OtherMethodsAreRefusedWithThoseAllowed) {
  House house;
  for (const std::string_view method : {"GET", "HEAD", "PUT", "DELETE", "PATCH", "post", ""}) {
    const HttpAnswer answer = ask(house, method, "/predict");
    expect_error(answer, 405, "method_not_allowed");
    EXPECT_EQ(answer.headers.at("allow"), "POST, OPTIONS");
  }
  for (const std::string_view method : {"POST", "PUT", "DELETE"}) {
    const HttpAnswer answer = ask(house, method, "/v1/models", "{}");
    expect_error(answer, 405, "method_not_allowed");
    EXPECT_EQ(answer.headers.at("allow"), "GET, HEAD, OPTIONS");
  }
}

TEST(HttpSurface, OtherPathsAreNotFoundAndNotRepeated) {
  House house;
  for (const std::string_view path :
       {"/", "", "/predict/", "/Predict", "/v1", "/v1/chat", "/chat/completions", "/v2/models",
        "predict", "/healthz/x", "//predict"}) {
    const HttpAnswer answer = ask(house, "POST", path, "{}");
    expect_error(answer, 404, "unknown_url");
  }
  EXPECT_EQ(ask(house, "POST", "/my-secret", "{}").body.find("secret"), std::string::npos);
}

TEST(HttpSurface, PathsAreFoundInEachReading) {
  House house;
  EXPECT_EQ(ask(house, "GET", "/health%7A").status, 200);
  const std::string stage_called_v1 = R"({"version":"2.0","rawPath":"/v1/models",)"
                                      R"("requestContext":{"stage":"v1","http":{"method":"GET"}}})";
  EXPECT_EQ(answer_of(house.handle(stage_called_v1)).status, 200);
  const std::string base_path =
      R"({"resource":"/{proxy+}","path":"/llm/v1/models","httpMethod":"GET","requestContext":{},
        "pathParameters":{"proxy":"v1/models"}})";
  EXPECT_EQ(answer_of(house.handle(base_path)).status, 200);
}

TEST(HttpSurface, BodiesMustBeJsonByTheirType) {
  House house;
  for (const std::string_view good :
       {"application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\"",
        "application/json; boundary=x ; charset=utf-8", "application/vnd.api+json", ""}) {
    EXPECT_EQ(ask(house, "POST", "/predict", R"({"prompt":"Hi"})", good).status, 200) << good;
  }
  for (const std::string_view bad :
       {"text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1",
        "application/jsonp", "json", "text/json", "application/json; charset=\"utf-8",
        "multipart/form-data; boundary=application/json", "+json", "application/json; charset="}) {
    expect_error(ask(house, "POST", "/predict", R"({"prompt":"Hi"})", bad), 415,
                 "unsupported_media_type");
  }
}

TEST(HttpSurface, CompressedBodiesAreRefused) {
  House house;
  const auto event = [](std::string_view coding) {
    return R"({"version":"2.0","rawPath":"/predict","headers":{"Content-Encoding":")" +
           std::string(coding) + R"("},"requestContext":{"http":{"method":"POST"}},)" +
           R"("body":"{\"prompt\":\"Hi\"}"})";
  };
  expect_error(answer_of(house.handle(event("gzip"))), 415, "unsupported_content_encoding");
  EXPECT_EQ(answer_of(house.handle(event("identity"))).status, 200);
}

TEST(HttpSurface, BodiesMustBeJson) {
  House house;
  for (const std::string_view body : {"", "{", "prompt=Hi", "{\"prompt\":\"\xC3(\"}"}) {
    if (body.find('\xC3') != std::string_view::npos) continue;  // the event itself would be none
    expect_error(ask(house, "POST", "/predict", body), 400, "invalid_json");
  }
  for (const std::string_view body : {"[]", "7", "\"Hi\"", "null"}) {
    expect_error(ask(house, "POST", "/predict", body), 400, "invalid_value");
  }
  EXPECT_EQ(ask(house, "POST", "/predict", "secret").body.find("secret"), std::string::npos);
}

TEST(HttpSurface, Base64BodiesMayHoldAnyBytes) {
  House house;
  const auto event = [](std::string_view body) {
    return R"({"version":"2.0","rawPath":"/predict","isBase64Encoded":true,)"
           R"("requestContext":{"http":{"method":"POST"}},"body":")" +
           std::string(body) + "\"}";
  };
  EXPECT_EQ(answer_of(house.handle(event("eyJwcm9tcHQiOiJIaSJ9"))).status, 200);  // {"prompt":"Hi"}
  expect_error(answer_of(house.handle(event("eyJwcm9tcHQiOiLDKCJ9"))), 400, "invalid_json");
  expect_error(answer_of(house.handle(event("!"))), 400, "invalid_value");
}

TEST(HttpSurface, EventsThatBreakTheirOwnShapeAreBadRequests) {
  House house;
  expect_error(answer_of(house.handle(
                   R"({"version":"2.0","rawPath":7,"requestContext":{"http":{"method":"POST"}}})")),
               400, "invalid_value");
}

TEST(HttpSurface, LargeBodiesAreRefused) {
  House house;
  house.manifest.event_bytes_max = 1024;
  const auto body = [](std::size_t bytes) {
    return R"({"prompt":")" + std::string(bytes - 13, 'x') + "\"}";
  };
  EXPECT_EQ(ask(house, "POST", "/predict", body(1024)).status, 200);
  const HttpAnswer answer = ask(house, "POST", "/predict", body(1025));
  expect_error(answer, 413, "request_too_large");
  EXPECT_EQ(at(answer.body, "/error/message"),
            "\"body: 1025 bytes, the limit is 1024; send less\"");
}

TEST(HttpSurface, PredictTakesADirectEvent) {
  House house;
  const HttpAnswer answer = ask(house, "POST", "/predict", R"({"prompt":"Hi","max_tokens":9})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body,
            R"({"text":"Hello, world","finish_reason":"stop",)"
            R"("usage":{"prompt_tokens":7,"completion_tokens":3,"cached_tokens":2},)"
            R"("timings":{"tokenise_ms":0.12,"prefix_ms":0.75,"read_ms":0,"prefill_ms":4.5,)"
            R"("first_token_ms":0,"decode_ms":31.25}})");
  EXPECT_EQ(house.generator.requests.at(0).max_tokens, 9u);
}

TEST(HttpSurface, TheGeneratorsErrorsAreAnswers) {
  struct Case {
    Code code;
    int status;
    std::string_view name;
    std::string_view type;
  };
  for (const Case& each :
       {Case{Code::kInvalid, 400, "invalid_value", "invalid_request_error"},
        {Code::kUnsupported, 400, "unsupported_parameter", "invalid_request_error"},
        {Code::kLimit, 400, "context_length_exceeded", "invalid_request_error"},
        {Code::kCorrupt, 500, "corrupt", "server_error"},
        {Code::kUnavailable, 503, "unavailable", "server_error"},
        {Code::kDeadline, 504, "deadline", "server_error"}}) {
    House house;
    house.generator.error = fail(each.code, "what happened");
    const HttpAnswer answer = ask(house, "POST", "/v1/chat/completions",
                                  R"({"messages":[{"role":"user","content":"Hi"}]})");
    expect_error(answer, each.status, each.name, each.type);
    EXPECT_EQ(at(answer.body, "/error/message"), "\"what happened\"");
    EXPECT_EQ(answer.headers.count("retry-after"), each.status == 503 ? 1u : 0u);
    EXPECT_EQ(answer.headers.count("retry-after-ms"), each.status == 503 ? 1u : 0u);
  }
}

class Shut final : public Gate {
 public:
  std::optional<Closed> closed() const override {
    return Closed{"loading", "function: not thawed yet; ask again",
                  std::chrono::milliseconds(1500)};
  }
  std::vector<Gauge> gauges() const override {
    return {{"thaw_queue_length", "Requests that wait.", "", 4}};
  }
};

TEST(HttpSurface, ReadyIsNotTheSameAsAlive) {
  House house;
  EXPECT_EQ(ask(house, "GET", "/readyz").body, R"({"status":"ready"})");
  const Shut shut;
  house.gate = &shut;
  EXPECT_EQ(ask(house, "GET", "/healthz").status, 200);
  EXPECT_EQ(ask(house, "GET", "/v1/models").status, 200);
  const HttpAnswer answer = ask(house, "GET", "/readyz");
  expect_error(answer, 503, "loading", "server_error");
  EXPECT_EQ(answer.headers.at("retry-after"), "2") << "whole seconds, not sooner than asked";
  EXPECT_EQ(answer.headers.at("retry-after-ms"), "1500");
  EXPECT_NE(ask(house, "GET", "/metrics").body.find("\nthaw_queue_length 4\n"), std::string::npos);
}

TEST(HttpSurface, AShutGateAnswersBeforeTheBodyIsRead) {
  House house;
  const Shut shut;
  house.gate = &shut;
  for (const std::string_view path : {"/v1/chat/completions", "/v1/completions", "/predict"}) {
    const HttpAnswer answer = ask(house, "POST", path, "not even JSON");
    expect_error(answer, 503, "loading", "server_error");
    EXPECT_EQ(answer.headers.at("retry-after-ms"), "1500");
  }
  EXPECT_TRUE(house.generator.requests.empty());
}

TEST(HttpSurface, PlainRequestsAreAnsweredLikeEvents) {
  House house;
  Handler handler(house.generator, house.manifest, house.clock);
  event::HttpRequest request;
  request.method = "POST";
  request.paths = {"/predict"};
  request.headers = {{"Content-Type", "application/json"}};
  request.body = R"({"prompt":"Hi"})";
  const InvocationContext context{house.request_id, std::nullopt};
  const HttpOutcome whole = handler.handle_http(request, context, house.responder);
  EXPECT_EQ(whole.response.status, 200);
  EXPECT_TRUE(whole.response.body.starts_with(R"({"text":"Hello, world",)"));
  request.body = R"({"prompt":"Hi","stream":true})";
  const HttpOutcome streamed = handler.handle_http(request, context, house.responder);
  EXPECT_TRUE(streamed.streamed);
  EXPECT_EQ(house.responder.head->http->status, 200);
}

TEST(HttpSurface, AnswersInTheShapeOfALoadBalancer) {
  House house;
  const std::string multi = R"({"requestContext":{"elb":{"targetGroupArn":"a"}},"httpMethod":"GET",
    "path":"/healthz","multiValueHeaders":{"accept":["*/*"]},"body":"","isBase64Encoded":false})";
  EXPECT_EQ(house.handle(multi).body,
            R"({"statusCode":200,"statusDescription":"200 OK","multiValueHeaders":)"
            R"({"content-type":["application/json"],)"
            R"("x-request-id":["8476a536-e9f4-11e8-9739-2dfe598c3fcd"]},)"
            R"("body":"{\"status\":\"ok\"}","isBase64Encoded":false})");
}

}  // namespace
}  // namespace thaw::handler
