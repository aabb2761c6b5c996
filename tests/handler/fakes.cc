#include "fakes.h"
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "handler/event/json_writer.h"

namespace thaw::handler {

std::string read_sample(const std::string& path) {
  std::ifstream file(std::string(THAW_SOURCE_DIR) + "/tests/data/events/" + path);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string url_event(std::string_view method, std::string_view path, std::string_view body,
                      std::string_view content_type) {
  std::string event;
  json::Writer writer(event);
  writer.begin_object().field("version", "2.0").field("rawPath", path);
  writer.field("rawQueryString", "").key("headers").begin_object();
  if (!content_type.empty()) writer.field("content-type", content_type);
  writer.end_object().key("requestContext").begin_object();
  writer.field("domainName", "abc.lambda-url.us-west-2.on.aws").key("http").begin_object();
  writer.field("method", method).field("path", path).end_object().end_object();
  writer.field("body", body).field("isBase64Encoded", false).end_object();
  return event;
}

std::string at(const std::string& text, const std::string& pointer) {
  const auto document = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const nlohmann::json::json_pointer path(pointer);
  if (document.is_discarded() || !document.contains(path)) return "";
  return document.at(path).dump();
}

HttpAnswer answer_of(const Outcome& outcome) {
  EXPECT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_FALSE(outcome.streamed);
  const auto document = nlohmann::json::parse(outcome.body);
  EXPECT_EQ(document["isBase64Encoded"], false);
  return {document["statusCode"], document["headers"], document["body"]};
}

}  // namespace thaw::handler
