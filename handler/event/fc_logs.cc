// Function Compute's Simple Log Service trigger: it tells where lines lie and does not hold them.
#include "base/str.h"
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

bool recognises(const json::Value& event) {
  return event["source"]["logstoreName"].is_string() && event["taskId"].is_string();
}

Result<Batch> read(const json::Value& event) {
  THAW_TRY(id, required_id(event["taskId"], "taskId"));
  return only_record(std::move(id), event);
}

constexpr RecordSource kRecords = {read, write_only, {}, /*tells=*/true};

}  // namespace

const Adapter kFcLogs = {"fc-sls", recognises, nullptr, &kRecords};

}  // namespace thaw::event
