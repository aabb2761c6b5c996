#include "runtime/emulator/function_url.h"

#include <cstdio>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/http_json.h"
#include "runtime/emulator/text.h"
#include "runtime/lambda/protocol.h"

namespace thaw::emulator {
namespace {

Json event_headers(const UrlRequest& request, Json& cookies) {
  Json headers = Json::object();
  for (const http::Field& field : request.headers) {
    const std::string name = lower_case(field.name);
    if (name == "cookie") {
      split(field.value, ';', [&](std::string_view cookie) {
        if (!trimmed(cookie).empty()) cookies.push_back(trimmed(cookie));
      });
    } else {
      join(headers, name, field.value);
    }
  }
  headers["x-amzn-trace-id"] = request.trace_id;
  headers["x-forwarded-for"] = request.source_ip;
  headers["x-forwarded-proto"] = "http";
  return headers;
}

Json event_query(std::string_view query) {
  Json parameters = Json::object();
  split_query(query, [&](std::string_view name, std::string_view value) {
    join(parameters, percent_decode(name, true), percent_decode(value, true));
  });
  return parameters;
}

Json event_context(const UrlRequest& request) {
  const bool of_api = !request.api.empty();
  const std::string id = of_api ? url_id(request.api).substr(0, 10) : url_id(request.function);
  Json context;
  context["accountId"] = of_api ? "123456789012" : "anonymous";
  context["apiId"] = id;
  context["domainName"] = of_api ? cat(id, ".execute-api.", request.region, ".amazonaws.com")
                                 : cat(id, ".lambda-url.", request.region, ".on.aws");
  context["domainPrefix"] = id;
  context["http"] = {{"method", request.method},
                     {"path", request.path},
                     {"protocol", "HTTP/1.1"},
                     {"sourceIp", request.source_ip},
                     {"userAgent", request.headers.get("user-agent").value_or("")}};
  context["requestId"] = request.request_id;
  context["routeKey"] = request.route_key;
  context["stage"] = request.stage;
  context["time"] = log_time(request.now);
  context["timeEpoch"] =
      std::chrono::duration_cast<std::chrono::milliseconds>(request.now.time_since_epoch()).count();
  return context;
}

}  // namespace

std::string url_event(const UrlRequest& request) {
  Json cookies = Json::array();
  Json event;
  event["version"] = "2.0";
  event["routeKey"] = request.route_key;
  event["rawPath"] = request.path;
  event["rawQueryString"] = request.query;
  Json headers = event_headers(request, cookies);
  if (!cookies.empty()) event["cookies"] = std::move(cookies);
  event["headers"] = std::move(headers);
  if (!request.query.empty()) event["queryStringParameters"] = event_query(request.query);
  event["requestContext"] = event_context(request);
  if (!request.path_parameters.empty()) {
    for (const auto& [name, value] : request.path_parameters) {
      event["pathParameters"][name] = value;
    }
  }
  const bool is_text =
      is_text_type(request.headers.get("content-type").value_or("")) && is_utf8(request.body);
  if (!request.body.empty()) {
    event["body"] = is_text ? std::string(request.body) : lambda::base64_encode(request.body);
  }
  event["isBase64Encoded"] = !request.body.empty() && !is_text;
  return dump(event);
}

Result<UrlAnswer> url_answer(std::string_view answer) {
  const Json json = Json::parse(answer, nullptr, false);
  if (json.is_discarded()) return bad_answer("not JSON");
  UrlAnswer out;
  if (!json.is_object() || !json.contains("statusCode")) {
    out.head.headers.add("Content-Type", "application/json");
    out.body = json.is_string() ? json.get<std::string>() : std::string(answer);
    return out;
  }
  THAW_TRY(head, head_of(json));
  out.head = std::move(head);
  if (!out.head.headers.has("Content-Type")) {
    out.head.headers.add("Content-Type", "application/json");
  }
  THAW_TRY(body, body_of(json));
  out.body = std::move(body);
  return out;
}

Result<UrlHead> url_prelude(std::string_view prelude) {
  const Json json = Json::parse(prelude, nullptr, false);
  if (!json.is_object()) return bad_answer("its prelude is no JSON object");
  return head_of(json);
}

}  // namespace thaw::emulator
