// Application Load Balancer targets, with single or multi-value headers:
// docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
#include "base/str.h"
#include "handler/event/http_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

bool recognises(const json::Value& event) {
  return event["requestContext"]["elb"].is_object() && event["httpMethod"];
}

Result<HttpRequest> read(const json::Value& event) {
  HttpRequest request;
  THAW_TRY(method, required_text(event["httpMethod"], "httpMethod"));
  THAW_TRY(path, required_text(event["path"], "path"));
  request.method = method;
  request.can_stream = false;
  add_path(request, path);
  // The target group's setting decides which of the two maps comes, and which the answer must use.
  request.multi_value_headers = event["multiValueHeaders"].is_object();
  const std::string_view headers = request.multi_value_headers ? "multiValueHeaders" : "headers";
  const std::string_view query =
      request.multi_value_headers ? "multiValueQueryStringParameters" : "queryStringParameters";
  THAW_TRY_DO(read_pairs(event[headers], headers, /*decode=*/false, request.headers));
  // Unlike API Gateway's, these are as the client sent them.
  THAW_TRY_DO(read_pairs(event[query], query, /*decode=*/true, request.query));
  THAW_TRY(body, read_body(event));
  request.body = std::move(body);
  return request;
}

std::string write(const HttpRequest& request, const HttpResponse& response) {
  std::string answer;
  json::Writer writer(answer);
  writer.begin_object().field("statusCode", response.status);
  writer.field("statusDescription", cat(response.status, " ", reason_of(response.status)));
  if (request.multi_value_headers) {
    write_multi_value_headers(writer, response.headers);
  } else {
    write_headers(writer, response.headers);
  }
  writer.field("body", response.body).field("isBase64Encoded", false).end_object();
  return answer;
}

constexpr HttpSource kHttp = {read, write};

}  // namespace

const Adapter kLoadBalancer = {"alb", recognises, &kHttp, nullptr};

}  // namespace thaw::event
