#include "runtime/emulator/http_json.h"

#include "base/str.h"
#include "runtime/emulator/text.h"
#include "runtime/lambda/protocol.h"

namespace thaw::emulator {
namespace {

// Headers that say how one connection frames a message; the next one has its own.
bool is_framing(std::string_view name) {
  for (const char* own : {"content-length", "transfer-encoding", "connection", "keep-alive",
                          "trailer", "upgrade", "te"}) {
    if (http::same_name(name, own)) return true;
  }
  return false;
}

// A header's value may be a string, a number or a boolean, as API Gateway takes it.
std::optional<std::string> header_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return std::nullopt;
}

}  // namespace

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

void join(Json& object, const std::string& name, std::string_view value) {
  if (object.contains(name)) {
    object[name] = cat(object[name].get<std::string>(), ",", value);
  } else {
    object[name] = value;
  }
}

// The same function has the same id each time, as a function URL does.
std::string url_id(std::string_view name) {
  std::uint64_t hash = 1469598103934665603u;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 1099511628211u;
  std::string id;
  for (int i = 0; i < 32; ++i) {
    id.push_back("abcdefghijklmnopqrstuvwxyz234567"[hash >> 59]);
    hash = hash * 6364136223846793005u + 1442695040888963407u;
  }
  return id;
}

void put_body(Json& event, std::string_view body, bool is_text, const Json& empty) {
  const bool plain = is_text && is_utf8(body);
  if (body.empty()) {
    event["body"] = empty;
  } else {
    event["body"] = plain ? std::string(body) : lambda::base64_encode(body);
  }
  event["isBase64Encoded"] = !body.empty() && !plain;
}

Error bad_answer(std::string_view what) {
  return fail(Code::kInvalid, cat("the function's answer: ", what));
}

Result<UrlHead> head_of(const Json& json, const HeadFields& fields) {
  UrlHead head;
  if (const auto at = json.find("statusCode"); at != json.end()) {
    if (!at->is_number_integer()) return bad_answer("statusCode is no integer");
    const auto status = at->get<std::int64_t>();
    if (status < 100 || status > 599) return bad_answer("statusCode is not from 100 to 599");
    head.status = static_cast<int>(status);
  }
  if (const auto at = json.find("headers"); fields.single && at != json.end() && !at->is_null()) {
    if (!at->is_object()) return bad_answer("headers is no object");
    for (const auto& [name, value] : at->items()) {
      const auto text = header_text(value);
      if (!text) return bad_answer("a header's value is no string");
      if (!is_framing(name)) head.headers.add(name, *text);
    }
  }
  if (const auto at = json.find("multiValueHeaders");
      fields.multi && at != json.end() && at->is_object()) {
    for (const auto& [name, values] : at->items()) {
      if (!values.is_array()) return bad_answer("multiValueHeaders holds what is no array");
      for (const Json& value : values) {
        const auto text = header_text(value);
        if (!text) return bad_answer("a header's value is no string");
        if (!is_framing(name)) head.headers.add(name, *text);
      }
    }
  }
  if (const auto at = json.find("cookies"); fields.cookies && at != json.end() && !at->is_null()) {
    if (!at->is_array()) return bad_answer("cookies is no array");
    for (const Json& cookie : *at) {
      if (!cookie.is_string()) return bad_answer("a cookie is no string");
      head.headers.add("Set-Cookie", cookie.get<std::string>());
    }
  }
  return head;
}

Result<std::string> body_of(const Json& json) {
  const auto body = json.find("body");
  if (body == json.end() || body->is_null()) return std::string();
  std::string text = body->is_string() ? body->get<std::string>() : dump(*body);
  const auto encoded = json.find("isBase64Encoded");
  if (encoded == json.end() || !encoded->is_boolean() || !encoded->get<bool>()) return text;
  auto decoded = lambda::base64_decode(text);
  if (!decoded) return bad_answer("isBase64Encoded is true and the body is not base64");
  return std::move(*decoded);
}

}  // namespace thaw::emulator
