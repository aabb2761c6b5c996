// Function Compute's CDN trigger: it tells what happened to a domain, an object or a log.
#include "base/str.h"
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

bool recognises(const json::Value& event) { return first_source(event["events"]) == "cdn"; }

Result<Batch> read(const json::Value& event) {
  return read_list(event, "events", [](const json::Value& record) {
    return IdField{record["traceId"], "traceId"};
  });
}

constexpr RecordSource kRecords = {read, write_results, {}, /*tells=*/true};

}  // namespace

const Adapter kFcCdn = {"fc-cdn", recognises, nullptr, &kRecords};

}  // namespace thaw::event
