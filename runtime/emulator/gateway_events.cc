#include "runtime/emulator/gateway_events.h"

#include <charconv>

#include "base/str.h"
#include "runtime/emulator/http_json.h"
#include "runtime/emulator/text.h"

namespace thaw::emulator {
namespace {

constexpr std::string_view kAccount = "123456789012";

std::int64_t epoch_ms(Clock::Wall time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

// Name-value pairs as two objects: the last value of each name, and all of them.
struct Values {
  Json last = Json::object(), all = Json::object();
  void add(const std::string& name, std::string_view value) {
    last[name] = value;
    all[name].push_back(value);
  }
};

Json or_null(Json object) {
  if (object.empty()) return nullptr;
  return object;
}

Json rest_context(const UrlRequest& request, std::string_view resource) {
  const std::string id = url_id(request.api).substr(0, 10);
  Json context;
  context["accountId"] = kAccount;
  context["apiId"] = id;
  context["domainName"] = cat(id, ".execute-api.", request.region, ".amazonaws.com");
  context["domainPrefix"] = id;
  context["extendedRequestId"] = request.request_id;
  context["httpMethod"] = request.method;
  context["identity"] = {
      {"accessKey", nullptr}, {"accountId", nullptr},
      {"caller", nullptr},    {"sourceIp", request.source_ip},
      {"user", nullptr},      {"userAgent", request.headers.get("user-agent").value_or("")},
      {"userArn", nullptr}};
  context["path"] = cat("/", request.stage, request.path);
  context["protocol"] = "HTTP/1.1";
  context["requestId"] = request.request_id;
  context["requestTime"] = log_time(request.now);
  context["requestTimeEpoch"] = epoch_ms(request.now);
  context["resourceId"] = url_id(resource).substr(0, 6);
  context["resourcePath"] = resource;
  context["stage"] = request.stage;
  return context;
}

}  // namespace

std::string rest_event(const UrlRequest& request, std::string_view resource) {
  Values headers, query;
  for (const http::Field& field : request.headers) headers.add(field.name, field.value);
  headers.add("X-Amzn-Trace-Id", request.trace_id);
  headers.add("X-Forwarded-For", request.source_ip);
  headers.add("X-Forwarded-Proto", "http");
  split_query(request.query, [&](std::string_view name, std::string_view value) {
    query.add(percent_decode(name, true), percent_decode(value, true));
  });
  Json parameters = Json::object();
  for (const auto& [name, value] : request.path_parameters) parameters[name] = value;
  Json event;
  event["resource"] = resource;
  event["path"] = request.path;
  event["httpMethod"] = request.method;
  event["headers"] = std::move(headers.last);
  event["multiValueHeaders"] = std::move(headers.all);
  event["queryStringParameters"] = or_null(std::move(query.last));
  event["multiValueQueryStringParameters"] = or_null(std::move(query.all));
  event["pathParameters"] = or_null(std::move(parameters));
  event["stageVariables"] = nullptr;
  event["requestContext"] = rest_context(request, resource);
  put_body(event, request.body, true, nullptr);
  return dump(event);
}

Result<UrlAnswer> rest_answer(std::string_view answer) {
  Json json = Json::parse(answer, nullptr, false);
  if (!json.is_object()) return bad_answer("not a JSON object");
  const auto status = json.find("statusCode");
  if (status == json.end()) return bad_answer("it has no statusCode");
  if (status->is_string()) {  // API Gateway reads a number from a string, too
    const auto& text = status->get_ref<const std::string&>();
    int number = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
    if (end.ec != std::errc() || end.ptr != text.data() + text.size()) {
      return bad_answer("statusCode is no integer");
    }
    *status = number;
  }
  const auto body = json.find("body");
  if (body != json.end() && !body->is_string() && !body->is_null()) {
    return bad_answer("body is no string");
  }
  UrlAnswer out;
  THAW_TRY(head, head_of(json, {.cookies = false}));
  out.head = std::move(head);
  if (!out.head.headers.has("Content-Type")) {
    out.head.headers.add("Content-Type", "application/json");
  }
  THAW_TRY(text, body_of(json));
  out.body = std::move(text);
  return out;
}

std::string balancer_event(const UrlRequest& request, bool multi) {
  Values headers, query;
  for (const http::Field& field : request.headers) {
    headers.add(lower_case(field.name), field.value);
  }
  headers.add("x-amzn-trace-id", request.trace_id);
  headers.add("x-forwarded-for", request.source_ip);
  headers.add("x-forwarded-proto", "http");
  // A load balancer decodes nothing of a query.
  split_query(request.query, [&](std::string_view name, std::string_view value) {
    query.add(std::string(name), value);
  });
  Json event;
  event["requestContext"]["elb"]["targetGroupArn"] =
      cat("arn:aws:elasticloadbalancing:", request.region, ":", kAccount, ":targetgroup/",
          request.function, "/", url_id(request.function).substr(0, 16));
  event["httpMethod"] = request.method;
  event["path"] = request.path;
  event[multi ? "multiValueQueryStringParameters" : "queryStringParameters"] =
      multi ? std::move(query.all) : std::move(query.last);
  event[multi ? "multiValueHeaders" : "headers"] =
      multi ? std::move(headers.all) : std::move(headers.last);
  const bool plain = is_text_type(request.headers.get("content-type").value_or("")) &&
                     !request.headers.has("content-encoding");
  put_body(event, request.body, plain, "");
  return dump(event);
}

Result<UrlAnswer> balancer_answer(std::string_view answer, bool multi) {
  const Json json = Json::parse(answer, nullptr, false);
  if (!json.is_object()) return bad_answer("not a JSON object");
  if (!json.contains("statusCode")) return bad_answer("it has no statusCode");
  const auto body = json.find("body");
  if (body != json.end() && !body->is_string() && !body->is_null()) {
    return bad_answer("body is no string");
  }
  UrlAnswer out;
  THAW_TRY(head, head_of(json, {.single = !multi, .multi = multi, .cookies = false}));
  out.head = std::move(head);
  if (!out.head.headers.has("Content-Type")) {
    out.head.headers.add("Content-Type", "application/octet-stream");
  }
  THAW_TRY(text, body_of(json));
  out.body = std::move(text);
  return out;
}

std::string fc_event(const UrlRequest& request) {
  Json headers = Json::object(), query = Json::object();
  for (const http::Field& field : request.headers) join(headers, field.name, field.value);
  split_query(request.query, [&](std::string_view name, std::string_view value) {
    query[percent_decode(name, true)] = percent_decode(value, true);
  });
  const std::string id = url_id(request.function).substr(0, 10);
  Json event;
  event["version"] = "v1";
  event["rawPath"] = request.path;
  const bool is_text = is_text_type(request.headers.get("content-type").value_or("text/plain"));
  put_body(event, request.body, is_text, "");
  event["headers"] = std::move(headers);
  event["queryParameters"] = std::move(query);
  event["requestContext"] = {{"accountId", kAccount},
                             {"domainName", cat(id, ".", request.region, ".fcapp.run")},
                             {"domainPrefix", id},
                             {"http",
                              {{"method", request.method},
                               {"path", request.path},
                               {"protocol", "HTTP/1.1"},
                               {"sourceIp", request.source_ip},
                               {"userAgent", request.headers.get("user-agent").value_or("")}}},
                             {"requestId", request.request_id},
                             {"time", iso_time(request.now)},
                             {"timeEpoch", cat(epoch_ms(request.now))}};
  return dump(event);
}

Result<UrlAnswer> fc_answer(std::string_view answer) {
  const Json json = Json::parse(answer, nullptr, false);
  UrlAnswer out;
  // What is no answer in its shape is the body.
  if (!json.is_object() || !json.contains("statusCode")) {
    out.head.headers.add("Content-Type", json.is_discarded() ? "text/plain" : "application/json");
    out.body = answer;
    return out;
  }
  THAW_TRY(head, head_of(json, {.multi = false, .cookies = false}));
  out.head = std::move(head);
  if (!out.head.headers.has("Content-Type")) {
    out.head.headers.add("Content-Type", "application/json");
  }
  THAW_TRY(text, body_of(json));
  out.body = std::move(text);
  return out;
}

}  // namespace thaw::emulator
