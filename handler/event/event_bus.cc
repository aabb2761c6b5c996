// Amazon EventBridge, its rules and schedules:
// docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/detail"};

bool recognises(const json::Value& event) {
  return event["detail-type"].is_string() && event["source"].is_string() && event["detail"];
}

Result<Batch> read(const json::Value& event) {
  THAW_TRY(id, required_id(event["id"], "id"));
  return only_record(std::move(id), event);
}

constexpr RecordSource kRecords = {read, write_only, kContent, /*tells=*/true};

}  // namespace

const Adapter kEventBus = {"eventbridge", recognises, nullptr, &kRecords};

}  // namespace thaw::event
