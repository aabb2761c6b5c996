// Function Compute's OSS trigger:
// www.alibabacloud.com/help/en/functioncompute: formats of event for different triggers.
// A notification tells of an object and does not hold it.
#include "base/str.h"
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

bool recognises(const json::Value& event) { return first_source(event["events"]) == "acs:oss"; }

Result<Batch> read(const json::Value& event) {
  Batch batch;
  for (const json::Value& record : event["events"]) {
    const json::Value oss = record["oss"];
    batch.records.push_back(
        {cat(oss["bucket"]["name"].text(), "/", oss["object"]["key"].text()), record, {}});
  }
  return batch;
}

constexpr RecordSource kRecords = {read, write_results, {}, /*tells=*/true};

}  // namespace

const Adapter kFcBucket = {"acs:oss", recognises, nullptr, &kRecords};

}  // namespace thaw::event
