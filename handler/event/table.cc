// Amazon DynamoDB's streams:
// docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/dynamodb/NewImage", "dynamodb"};

bool recognises(const json::Value& event) {
  return first_source(event["Records"]) == "aws:dynamodb" || is_window_of(event, ":dynamodb:");
}

Result<Batch> read(const json::Value& event) {
  THAW_TRY(batch, read_list(event, "Records", [](const json::Value& record) {
             return IdField{record["dynamodb"]["SequenceNumber"], "dynamodb.SequenceNumber"};
           }));
  for (Record& record : batch.records) record.group = "shard";
  return std::move(batch);
}

// An item that was removed has no new image: the record then tells what happened.
constexpr RecordSource kRecords = {read,
                                   write_shard,
                                   kContent,
                                   /*tells=*/true,
                                   /*takes_failures=*/true,
                                   /*returns_answers=*/false};

}  // namespace

const Adapter kTable = {"aws:dynamodb", recognises, nullptr, &kRecords};

}  // namespace thaw::event
