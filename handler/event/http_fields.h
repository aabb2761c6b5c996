// What the HTTP sources' events have in common.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "handler/event/http_message.h"
#include "handler/event/json.h"
#include "handler/event/json_writer.h"

namespace thaw::event {

// An event's string, required. Errors: kInvalid, naming it.
Result<std::string_view> required_text(const json::Value& value, std::string_view name);

// {"name": "value"} or {"name": ["value", ...]}, appended in order; absent and null add nothing.
// `decode`: percent-decode names and values. Errors: kInvalid, naming the field.
Result<Done> read_pairs(const json::Value& map, std::string_view field, bool decode, Pairs& to);

// `body`, decoded where `isBase64Encoded` is true; empty where absent.
// Errors: kInvalid (another type, bad base64).
Result<std::string> read_body(const json::Value& event);

// `path` without a leading "/stage"; as it is where it does not begin with one.
std::string_view without_stage(std::string_view path, std::string_view stage);

// Adds a reading of the path, decoded, unless it is there already.
void add_path(HttpRequest& request, std::string_view path);

// Adds what a greedy path variable ("/{proxy+}" in `route`) caught, if there is one: a custom
// domain's base path and a route's prefix are not in it.
void add_greedy_path(HttpRequest& request, std::string_view route, const json::Value& parameters);

// Headers that may be joined, and cookies, the one kind that may not.
struct SplitHeaders {
  Pairs headers;
  Pairs cookies;
};
SplitHeaders split_cookies(const Pairs& all);

// "headers": {...}, values of a repeated name joined by a comma, as HTTP allows.
void write_headers(json::Writer& writer, const Pairs& headers);
// "multiValueHeaders": {name: [...]}.
void write_multi_value_headers(json::Writer& writer, const Pairs& headers);

}  // namespace thaw::event
