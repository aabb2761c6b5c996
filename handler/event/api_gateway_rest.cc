// API Gateway REST APIs, and HTTP APIs with payload format 1.0:
// docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
#include "handler/event/http_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

bool recognises(const json::Value& event) {
  const json::Value context = event["requestContext"];
  return event["httpMethod"].is_string() && event["resource"].is_string() && context.is_object() &&
         !context["elb"] && !context["connectionId"] && !event["methodArn"];
}

Result<HttpRequest> read(const json::Value& event) {
  HttpRequest request;
  THAW_TRY(method, required_text(event["httpMethod"], "httpMethod"));
  THAW_TRY(path, required_text(event["path"], "path"));
  request.method = method;
  // A REST API's `path` has no stage; payload format 1.0 of an HTTP API keeps a named one.
  if (event["version"].text() == "1.0") {
    add_path(request, without_stage(path, event["requestContext"]["stage"].text()));
  }
  add_path(request, path);
  add_greedy_path(request, event["resource"].text(), event["pathParameters"]);
  // The multi-value maps repeat the single-value ones, with nothing lost.
  const bool multi_query = event["multiValueQueryStringParameters"].is_object();
  const std::string_view query =
      multi_query ? "multiValueQueryStringParameters" : "queryStringParameters";
  THAW_TRY_DO(read_pairs(event[query], query, /*decode=*/false, request.query));
  const bool multi_headers = event["multiValueHeaders"].is_object();
  const std::string_view headers = multi_headers ? "multiValueHeaders" : "headers";
  THAW_TRY_DO(read_pairs(event[headers], headers, /*decode=*/false, request.headers));
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
  if (!cookies.empty()) write_multi_value_headers(writer, cookies);
  writer.field("body", response.body).field("isBase64Encoded", false).end_object();
  return answer;
}

constexpr HttpSource kHttp = {read, write};

}  // namespace

const Adapter kApiGatewayRest = {"api-gateway-rest", recognises, &kHttp, nullptr};

}  // namespace thaw::event
