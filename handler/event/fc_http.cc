// Function Compute's HTTP trigger, as built-in runtimes get it (custom runtimes get plain HTTP).
#include "handler/event/http_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

bool recognises(const json::Value& event) {
  return event["version"].text() == "v1" && event["rawPath"] &&
         event["requestContext"]["http"].is_object();
}

Result<HttpRequest> read(const json::Value& event) {
  HttpRequest request;
  const json::Value http = event["requestContext"]["http"];
  THAW_TRY(method, required_text(http["method"], "requestContext.http.method"));
  THAW_TRY(path, required_text(event["rawPath"], "rawPath"));
  request.method = method;
  request.can_stream = false;  // the answer is a document; plain HTTP is what streams there
  add_path(request, path);
  THAW_TRY_DO(
      read_pairs(event["queryParameters"], "queryParameters", /*decode=*/false, request.query));
  THAW_TRY_DO(read_pairs(event["headers"], "headers", /*decode=*/false, request.headers));
  THAW_TRY(body, read_body(event));
  request.body = std::move(body);
  return request;
}

std::string write(const HttpRequest&, const HttpResponse& response) {
  std::string answer;
  json::Writer writer(answer);
  writer.begin_object().field("statusCode", response.status);
  write_headers(writer, response.headers);
  writer.field("isBase64Encoded", false).field("body", response.body).end_object();
  return answer;
}

constexpr HttpSource kHttp = {read, write};

}  // namespace

const Adapter kFcHttp = {"fc-http", recognises, &kHttp, nullptr};

}  // namespace thaw::event
