// Function Compute's Tablestore trigger. The platform sends it as CBOR, which is JSON by the time
// it comes here (cbor.h).
#include "base/str.h"
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

bool recognises(const json::Value& event) {
  return event["Version"].is_string() && event["Records"].at(0)["PrimaryKey"].is_array();
}

// A row's key may be anything; its place in the event names the record.
Result<Batch> read(const json::Value& event) {
  Batch batch;
  for (const json::Value& record : event["Records"]) {
    batch.records.push_back({cat("row-", batch.records.size()), record, {}});
  }
  return batch;
}

constexpr RecordSource kRecords = {read, write_results, {}, /*tells=*/true};

}  // namespace

const Adapter kFcTable = {"fc-tablestore", recognises, nullptr, &kRecords};

}  // namespace thaw::event
