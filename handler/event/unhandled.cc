// Names for events that no adapter reads, so that a refusal can say what came.
#include <algorithm>
#include <array>

#include "base/str.h"
#include "handler/event/adapter.h"

namespace thaw::event {
namespace {

constexpr std::size_t kSourceBytesMax = 64;
constexpr std::size_t kFieldsNamedMax = 16;  // enough to recognise an event by
constexpr std::size_t kFieldBytesMax = 40;

bool is_plain(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
         (letter >= '0' && letter <= '9') || letter == ':' || letter == '.' || letter == '_' ||
         letter == '-';
}

// `text`, if it looks like a source's name; else nothing.
std::string_view as_source(std::string_view text) {
  const bool fits = !text.empty() && text.size() <= kSourceBytesMax &&
                    std::all_of(text.begin(), text.end(), is_plain);
  return fits ? text : std::string_view();
}

// An event is of a source if it has all the fields (absent entries are empty).
struct Signature {
  std::string_view source;
  std::array<std::string_view, 3> fields;
};

constexpr Signature kSignatures[] = {
    {"codepipeline", {"CodePipeline.job"}},
    {"cognito-user-pool", {"triggerSource", "userPoolId", "request"}},
    {"cognito-sync", {"datasetName", "identityPoolId", "datasetRecords"}},
    {"aws-config", {"configRuleName", "invokingEvent"}},
    {"amazon-connect", {"Name", "Details"}},
    {"amazon-lex", {"bot", "inputTranscript"}},
    {"api-gateway-authorizer", {"type", "methodArn"}},
    {"api-gateway-authorizer", {"type", "routeArn"}},
    {"appsync-authorizer", {"authorizationToken", "requestContext"}},
    {"client-vpn", {"connection-id", "endpoint-id", "username"}},
    {"kinesis-firehose", {"deliveryStreamArn", "records"}},
    {"kinesis-analytics", {"applicationArn", "records"}},
    {"iot-button", {"serialNumber", "clickType"}},
    {"iot-1-click", {"deviceEvent", "deviceInfo", "placementInfo"}},
    {"iot-authorizer", {"protocolData", "connectionMetadata"}},
    {"iot-provisioning", {"templateArn", "certificateId"}},
    {"s3-batch", {"job", "tasks", "invocationSchemaVersion"}},
    {"s3-object-lambda", {"userRequest", "xAmzRequestId"}},
    {"lambda-telemetry", {"time", "type", "record"}},
    {"secrets-manager", {"SecretId", "ClientRequestToken", "Step"}},
};

bool has_all(const json::Value& event, const Signature& signature) {
  return std::all_of(signature.fields.begin(), signature.fields.end(), [&](std::string_view field) {
    return field.empty() || static_cast<bool>(event[field]);
  });
}

// The sources that say their own name, in the event or in its first record.
std::string_view own_name(const json::Value& event) {
  const json::Value first_of[] = {event, event["Records"].at(0), event["events"].at(0)};
  for (const json::Value& place : first_of) {
    for (const std::string_view field : {"eventSource", "EventSource"}) {
      const std::string_view name = as_source(place[field].text());
      if (!name.empty()) return name;
    }
  }
  return {};
}

}  // namespace

std::string unhandled_source(const json::Value& event) {
  if (!event.is_object()) return {};
  if (const std::string_view name = own_name(event); !name.empty()) return std::string(name);
  for (const Signature& signature : kSignatures) {
    if (has_all(event, signature)) return std::string(signature.source);
  }
  return {};
}

std::string field_names(const json::Value& event) {
  std::string names;
  std::size_t named = 0;
  for (const json::Value& member : event) {
    if (named == kFieldsNamedMax) return cat(names, ", and ", event.size() - named, " more");
    std::string name(member.key().substr(0, kFieldBytesMax));
    std::replace_if(
        name.begin(), name.end(), [](char letter) { return !is_plain(letter); }, '?');
    names += cat(named++ == 0 ? "'" : ", '", name, "'");
  }
  return names;
}

}  // namespace thaw::event
