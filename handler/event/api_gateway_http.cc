// API Gateway HTTP APIs, payload format 2.0, and Lambda Function URLs, which use the same shape:
// docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
// docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
#include "base/str.h"
#include "handler/event/encoding.h"
#include "handler/event/http_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

bool recognises_either(const json::Value& event) {
  return event["version"].text() == "2.0" && event["rawPath"] &&
         event["requestContext"]["http"].is_object() && !event["routeArn"];
}

bool is_function_url(const json::Value& event) {
  return event["requestContext"]["domainName"].text().find(".lambda-url.") !=
         std::string_view::npos;
}

bool recognises_http_api(const json::Value& event) {
  return recognises_either(event) && !is_function_url(event);
}

bool recognises_function_url(const json::Value& event) {
  return recognises_either(event) && is_function_url(event);
}

// Cookies come apart from the headers; some clients' requests carry both.
Result<Done> add_cookies(const json::Value& cookies, HttpRequest& request) {
  if (cookies.is_nothing() || request.header("cookie")) return Done{};
  if (!cookies.is_array()) {
    return fail(Code::kInvalid, cat("event 'cookies': found ", name_of(cookies.type()),
                                    ", wanted an array of strings"));
  }
  std::string joined;
  for (const json::Value& cookie : cookies) {
    THAW_TRY(text, required_text(cookie, "cookies"));
    joined += cat(joined.empty() ? "" : "; ", text);
  }
  if (!joined.empty()) request.headers.emplace_back("cookie", std::move(joined));
  return Done{};
}

Result<HttpRequest> read(const json::Value& event) {
  HttpRequest request;
  const json::Value context = event["requestContext"];
  THAW_TRY(method, required_text(context["http"]["method"], "requestContext.http.method"));
  THAW_TRY(path, required_text(event["rawPath"], "rawPath"));
  request.method = method;
  add_path(request, without_stage(path, context["stage"].text()));
  const std::string_view route = event["routeKey"].text();  // "ANY /{proxy+}"
  add_greedy_path(request, route, event["pathParameters"]);
  add_path(request, path);
  request.query = parse_query(event["rawQueryString"].text());
  THAW_TRY_DO(read_pairs(event["headers"], "headers", /*decode=*/false, request.headers));
  THAW_TRY_DO(add_cookies(event["cookies"], request));
  THAW_TRY(body, read_body(event));
  request.body = std::move(body);
  return request;
}

std::string write(const HttpRequest&, const HttpResponse& response) {
  std::string answer;
  const auto [headers, cookies] = split_cookies(response.headers);
  json::Writer writer(answer);
  writer.begin_object().field("statusCode", response.status);
  write_headers(writer, headers);
  if (!cookies.empty()) {
    writer.key("cookies").begin_array();
    for (const auto& cookie : cookies) writer.value(cookie.second);
    writer.end_array();
  }
  writer.field("body", response.body).field("isBase64Encoded", false).end_object();
  return answer;
}

constexpr HttpSource kHttp = {read, write};

}  // namespace

const Adapter kApiGatewayHttp = {"api-gateway-http", recognises_http_api, &kHttp, nullptr};
const Adapter kFunctionUrl = {"function-url", recognises_function_url, &kHttp, nullptr};

}  // namespace thaw::event
