#include "handler/event/http_fields.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/str.h"
#include "handler/event/encoding.h"

namespace thaw::event {
namespace {

Error wrong_type(std::string_view field, const json::Value& value, std::string_view wanted) {
  return fail(Code::kInvalid,
              cat("event '", field, "': found ", name_of(value.type()), ", wanted ", wanted));
}

std::string decoded(std::string_view text, bool decode) {
  return decode ? percent_decode(text, true) : std::string(text);
}

// Names in the order of their first appearance, each with all its values.
std::vector<std::pair<std::string_view, std::vector<std::string_view>>> grouped(
    const Pairs& headers) {
  std::vector<std::pair<std::string_view, std::vector<std::string_view>>> groups;
  for (const auto& header : headers) {
    const auto known = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return equal_ignoring_case(group.first, header.first);
    });
    if (known == groups.end()) {
      groups.push_back({header.first, {header.second}});
    } else {
      known->second.push_back(header.second);
    }
  }
  return groups;
}

}  // namespace

Result<std::string_view> required_text(const json::Value& value, std::string_view name) {
  if (!value.is_string()) return wrong_type(name, value, "a string");
  return value.text();
}

Result<Done> read_pairs(const json::Value& map, std::string_view field, bool decode, Pairs& to) {
  if (map.is_nothing()) return Done{};
  if (!map.is_object()) return wrong_type(field, map, "an object");
  for (const json::Value& member : map) {
    const std::string name = decoded(member.key(), decode);
    if (member.is_string()) {
      to.emplace_back(name, decoded(member.text(), decode));
    } else if (member.is_array()) {
      for (const json::Value& element : member) {
        if (!element.is_string()) return wrong_type(field, element, "strings in its lists");
        to.emplace_back(name, decoded(element.text(), decode));
      }
    } else if (!member.is_nothing()) {
      return wrong_type(field, member, "strings or lists of strings in it");
    }
  }
  return Done{};
}

Result<std::string> read_body(const json::Value& event) {
  const json::Value body = event["body"];
  if (body.is_nothing()) return std::string();
  if (!body.is_string()) return wrong_type("body", body, "a string");
  const json::Value encoded = event["isBase64Encoded"];
  if (!encoded.is_nothing() && encoded.type() != json::Type::kBool) {
    return wrong_type("isBase64Encoded", encoded, "a boolean");
  }
  if (!encoded.is_true()) return std::string(body.text());
  std::optional<std::string> bytes = base64_decode(body.text());
  if (!bytes) {
    return fail(Code::kInvalid,
                "event 'body': found other characters, wanted base64 as "
                "isBase64Encoded says");
  }
  return std::move(*bytes);
}

std::string_view without_stage(std::string_view path, std::string_view stage) {
  if (stage.empty() || stage == "$default") return path;
  if (!path.starts_with('/') || path.substr(1, stage.size()) != stage) return path;
  const std::string_view rest = path.substr(1 + stage.size());
  if (rest.empty()) return "/";
  return rest.starts_with('/') ? rest : path;
}

void add_path(HttpRequest& request, std::string_view path) {
  std::string reading = percent_decode(path, false);
  if (std::find(request.paths.begin(), request.paths.end(), reading) == request.paths.end()) {
    request.paths.push_back(std::move(reading));
  }
}

void add_greedy_path(HttpRequest& request, std::string_view route, const json::Value& parameters) {
  if (!route.ends_with("+}")) return;
  const std::size_t brace = route.rfind('{');
  if (brace == std::string_view::npos) return;
  const std::string_view name = route.substr(brace + 1, route.size() - brace - 3);
  const json::Value caught = parameters[name];
  if (caught.is_string()) add_path(request, cat("/", caught.text()));
}

SplitHeaders split_cookies(const Pairs& all) {
  SplitHeaders split;
  for (const auto& header : all) {
    (equal_ignoring_case(header.first, "set-cookie") ? split.cookies : split.headers)
        .push_back(header);
  }
  return split;
}

void write_headers(json::Writer& writer, const Pairs& headers) {
  writer.key("headers").begin_object();
  for (const auto& [name, values] : grouped(headers)) {
    std::string joined;
    for (const std::string_view value : values) {
      if (!joined.empty()) joined += ",";
      joined += value;
    }
    writer.field(name, joined);
  }
  writer.end_object();
}

void write_multi_value_headers(json::Writer& writer, const Pairs& headers) {
  writer.key("multiValueHeaders").begin_object();
  for (const auto& [name, values] : grouped(headers)) {
    writer.key(name).begin_array();
    for (const std::string_view value : values) writer.value(value);
    writer.end_array();
  }
  writer.end_object();
}

}  // namespace thaw::event
