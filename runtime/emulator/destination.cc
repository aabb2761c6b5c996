#include "runtime/emulator/destination.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "base/str.h"
#include "runtime/emulator/function_reference.h"
#include "runtime/emulator/text.h"

namespace thaw::emulator {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kDestinationBytesMax = 350;    // AWS's, of the ARN
constexpr std::size_t kErrorMessageBytesMax = 1024;  // AWS cuts the attribute at 1 KB

Error refused(std::string_view text, std::string_view why) {
  return fail(
      Code::kInvalid,
      cat("The provided destination config DestinationArn '", text.substr(0, 100), "' ", why,
          "; this emulator takes file:PATH, http://HOST/PATH, a function's ARN, and "
          "ARNs of sqs, sns, s3 and events, which become files"));
}

// JSON where it is JSON, else a string of it.
Json document_of(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return text;
  return json;
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Result<Destination> parse_destination(std::string_view text) {
  if (text.empty() || text.size() > kDestinationBytesMax) return refused(text, "has no length");
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) return refused("", "has control characters");
  }
  if (text.starts_with("file:")) {
    std::string_view path = text.substr(5);
    if (path.starts_with("///")) path.remove_prefix(2);
    if (path.empty() || path.ends_with('/')) return refused(text, "names no file");
    return Destination{Destination::Kind::kFile, std::string(path)};
  }
  if (text.starts_with("http://")) {
    if (text.size() == 7 || text[7] == '/') return refused(text, "names no host");
    return Destination{Destination::Kind::kUrl, std::string(text)};
  }
  if (!text.starts_with("arn:")) return refused(text, "is no destination");
  std::vector<std::string_view> parts;
  for (std::string_view rest = text;;) {
    const std::size_t colon = rest.find(':');
    parts.push_back(rest.substr(0, colon));
    if (colon == rest.npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (parts.size() < 6) return refused(text, "is no ARN");
  if (parts[2] == "lambda") {
    const auto function = parse_function_reference(text, "");
    if (!function) return refused(text, "names no function");
    return Destination{Destination::Kind::kFunction, function->name};
  }
  const bool known =
      parts[2] == "sqs" || parts[2] == "sns" || parts[2] == "s3" || parts[2] == "events";
  std::string name(parts.back());
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    if (!plain) c = '-';
  }
  if (!known || name.empty() || name.ends_with(".fifo")) return refused(text, "is not supported");
  return Destination{Destination::Kind::kFile, cat("destinations/", parts[2], "-", name, ".jsonl")};
}

std::string destination_document(const InvocationRecord& record) {
  Json document;
  document["version"] = "1.0";
  document["timestamp"] = iso_time(record.time);
  document["requestContext"] = {{"requestId", record.request_id},
                                {"functionArn", record.function_arn},
                                {"condition", record.condition},
                                {"approximateInvokeCount", record.invoke_count}};
  document["requestPayload"] = document_of(record.request);
  if (record.response) {
    document["responseContext"] = {{"statusCode", 200}, {"executedVersion", "$LATEST"}};
    if (record.failed) document["responseContext"]["functionError"] = "Unhandled";
    document["responsePayload"] = document_of(*record.response);
  }
  return dump(document);
}

std::string dead_letter_document(const InvocationRecord& record) {
  std::string message = record.condition;
  if (record.response) {
    const Json error = Json::parse(*record.response, nullptr, false);
    const auto at = error.is_object() ? error.find("errorMessage") : error.end();
    if (error.is_object() && at != error.end() && at->is_string()) message = at->get<std::string>();
  }
  if (message.size() > kErrorMessageBytesMax) message.resize(kErrorMessageBytesMax);
  const auto attribute = [](std::string_view type, std::string_view value) {
    return Json{{"stringValue", value}, {"dataType", type}};
  };
  Json document;
  document["messageId"] = record.request_id;
  document["body"] = record.request;
  document["messageAttributes"] = {
      {"RequestID", attribute("String", record.request_id)},
      {"ErrorCode", attribute("Number", record.response ? "200" : "429")},
      {"ErrorMessage", attribute("String", message)}};
  return dump(document);
}

}  // namespace thaw::emulator
