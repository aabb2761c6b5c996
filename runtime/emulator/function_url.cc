#include "runtime/emulator/function_url.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/text.h"
#include "runtime/lambda/protocol.h"

namespace thaw::emulator {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Only JSON's own strings must be UTF-8, so this asks the library that will have to write it.
bool is_utf8(std::string_view text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

bool is_text_type(std::string_view type) {
  const std::string name = lower_case(type.substr(0, type.find(';')));
  return name.starts_with("text/") || name == "application/json" || name == "application/xml" ||
         name == "application/javascript" || name.ends_with("+json") || name.ends_with("+xml");
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

template <class Each>
void split(std::string_view text, char at, const Each& each) {
  while (!text.empty()) {
    const std::size_t end = text.find(at);
    each(text.substr(0, end));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
}

void join(Json& object, const std::string& name, std::string_view value) {
  if (object.contains(name)) {
    object[name] = cat(object[name].get<std::string>(), ",", value);
  } else {
    object[name] = value;
  }
}

// The same function has the same id each time, as a function URL does.
std::string url_id(std::string_view function) {
  std::uint64_t hash = 1469598103934665603u;  // FNV-1a
  for (const char c : function) hash = (hash ^ static_cast<std::uint8_t>(c)) * 1099511628211u;
  std::string id;
  for (int i = 0; i < 32; ++i) {
    id.push_back("abcdefghijklmnopqrstuvwxyz234567"[hash >> 59]);
    hash = hash * 6364136223846793005u + 1442695040888963407u;
  }
  return id;
}

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
  split(query, '&', [&](std::string_view pair) {
    if (pair.empty()) return;
    const std::size_t equals = pair.find('=');
    const std::string_view value = equals == pair.npos ? "" : pair.substr(equals + 1);
    join(parameters, percent_decode(pair.substr(0, equals), true), percent_decode(value, true));
  });
  return parameters;
}

Json event_context(const UrlRequest& request) {
  const std::string id = url_id(request.function);
  Json context;
  context["accountId"] = "anonymous";
  context["apiId"] = id;
  context["domainName"] = cat(id, ".lambda-url.", request.region, ".on.aws");
  context["domainPrefix"] = id;
  context["http"] = {{"method", request.method},
                     {"path", request.path},
                     {"protocol", "HTTP/1.1"},
                     {"sourceIp", request.source_ip},
                     {"userAgent", request.headers.get("user-agent").value_or("")}};
  context["requestId"] = request.request_id;
  context["routeKey"] = "$default";
  context["stage"] = "$default";
  context["time"] = log_time(request.now);
  context["timeEpoch"] =
      std::chrono::duration_cast<std::chrono::milliseconds>(request.now.time_since_epoch()).count();
  return context;
}

// Headers that say how one connection frames a message; the next one has its own.
bool is_framing(std::string_view name) {
  for (const char* own : {"content-length", "transfer-encoding", "connection", "keep-alive",
                          "trailer", "upgrade", "te"}) {
    if (http::same_name(name, own)) return true;
  }
  return false;
}

Error bad_answer(std::string_view what) {
  return fail(Code::kInvalid, cat("function URL: the function's answer: ", what));
}

// A header's value may be a string, a number or a boolean, as API Gateway takes it.
std::optional<std::string> header_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return std::nullopt;
}

Result<UrlHead> head_of(const Json& json) {
  UrlHead head;
  if (const auto at = json.find("statusCode"); at != json.end()) {
    if (!at->is_number_integer()) return bad_answer("statusCode is no integer");
    const auto status = at->get<std::int64_t>();
    if (status < 100 || status > 599) return bad_answer("statusCode is not from 100 to 599");
    head.status = static_cast<int>(status);
  }
  if (const auto at = json.find("headers"); at != json.end() && !at->is_null()) {
    if (!at->is_object()) return bad_answer("headers is no object");
    for (const auto& [name, value] : at->items()) {
      const auto text = header_text(value);
      if (!text) return bad_answer("a header's value is no string");
      if (!is_framing(name)) head.headers.add(name, *text);
    }
  }
  if (const auto at = json.find("multiValueHeaders"); at != json.end() && at->is_object()) {
    for (const auto& [name, values] : at->items()) {
      if (!values.is_array()) return bad_answer("multiValueHeaders holds what is no array");
      for (const Json& value : values) {
        const auto text = header_text(value);
        if (!text) return bad_answer("a header's value is no string");
        if (!is_framing(name)) head.headers.add(name, *text);
      }
    }
  }
  if (const auto at = json.find("cookies"); at != json.end() && !at->is_null()) {
    if (!at->is_array()) return bad_answer("cookies is no array");
    for (const Json& cookie : *at) {
      if (!cookie.is_string()) return bad_answer("a cookie is no string");
      head.headers.add("Set-Cookie", cookie.get<std::string>());
    }
  }
  return head;
}

}  // namespace

std::string url_event(const UrlRequest& request) {
  Json cookies = Json::array();
  Json event;
  event["version"] = "2.0";
  event["routeKey"] = "$default";
  event["rawPath"] = request.path;
  event["rawQueryString"] = request.query;
  Json headers = event_headers(request, cookies);
  if (!cookies.empty()) event["cookies"] = std::move(cookies);
  event["headers"] = std::move(headers);
  if (!request.query.empty()) event["queryStringParameters"] = event_query(request.query);
  event["requestContext"] = event_context(request);
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
  const auto body = json.find("body");
  if (body == json.end() || body->is_null()) return out;
  out.body = body->is_string() ? body->get<std::string>() : dump(*body);
  const auto encoded = json.find("isBase64Encoded");
  if (encoded != json.end() && encoded->is_boolean() && encoded->get<bool>()) {
    auto decoded = lambda::base64_decode(out.body);
    if (!decoded) return bad_answer("isBase64Encoded is true and the body is not base64");
    out.body = std::move(*decoded);
  }
  return out;
}

Result<UrlHead> url_prelude(std::string_view prelude) {
  const Json json = Json::parse(prelude, nullptr, false);
  if (!json.is_object()) return bad_answer("its prelude is no JSON object");
  return head_of(json);
}

}  // namespace thaw::emulator
