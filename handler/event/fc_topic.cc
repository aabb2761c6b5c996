// Function Compute's MNS topic trigger: the JSON format, and the stream format where it is JSON.
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/Message"};

bool is_message(const json::Value& event) {
  return event["TopicName"].is_string() && event["Message"] && event["Subscriber"];
}

bool is_stream(const json::Value& event) {
  return event.size() == 2 && event["body"].is_string() && event["attrs"].is_object();
}

bool recognises(const json::Value& event) { return is_message(event) || is_stream(event); }

Result<Batch> read(const json::Value& event) {
  if (is_stream(event)) {
    Batch batch = only_record("message", event);
    batch.records.front().content = event["body"];
    return batch;
  }
  THAW_TRY(id, required_id(event["MessageId"], "MessageId"));
  return only_record(std::move(id), event);
}

constexpr RecordSource kRecords = {read, write_only, kContent, /*tells=*/true};

}  // namespace

const Adapter kFcTopic = {"fc-mns", recognises, nullptr, &kRecords};

}  // namespace thaw::event
