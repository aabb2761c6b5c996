// Function Compute's time trigger; its payload is what whoever set it up wrote.
#include "base/str.h"
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/payload"};

bool recognises(const json::Value& event) {
  return event["triggerTime"].is_string() && event["triggerName"].is_string();
}

Result<Batch> read(const json::Value& event) {
  return only_record(cat(event["triggerName"].text(), "@", event["triggerTime"].text()), event);
}

constexpr RecordSource kRecords = {read, write_only, kContent, /*tells=*/true};

}  // namespace

const Adapter kFcTimer = {"fc-timer", recognises, nullptr, &kRecords};

}  // namespace thaw::event
