// Amazon S3: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
// A notification tells of an object and does not hold it.
#include "base/str.h"
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

bool recognises(const json::Value& event) { return first_source(event["Records"]) == "aws:s3"; }

Result<Batch> read(const json::Value& event) {
  Batch batch;
  for (const json::Value& record : event["Records"]) {
    const json::Value object = record["s3"]["object"];
    // The sequencer parts two versions of one key; some events have none.
    std::string id = cat(record["s3"]["bucket"]["name"].text(), "/", object["key"].text());
    if (const std::string_view last = object["sequencer"].text(); !last.empty()) {
      id += cat("#", last);
    }
    batch.records.push_back({std::move(id), record, {}});
  }
  return batch;
}

constexpr RecordSource kRecords = {read, write_results, {}, /*tells=*/true};

}  // namespace

const Adapter kBucket = {"aws:s3", recognises, nullptr, &kRecords};

}  // namespace thaw::event
