// Amazon Kinesis, with partial batch responses and tumbling windows:
// docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/kinesis/data", "base64"};

bool recognises(const json::Value& event) {
  return first_source(event["Records"]) == "aws:kinesis" || is_window_of(event, ":kinesis:");
}

Result<Batch> read(const json::Value& event) {
  THAW_TRY(batch, read_list(event, "Records", [](const json::Value& record) {
             return IdField{record["kinesis"]["sequenceNumber"], "kinesis.sequenceNumber"};
           }));
  for (Record& record : batch.records) record.group = "shard";
  return std::move(batch);
}

constexpr RecordSource kRecords = {read,
                                   write_shard,
                                   kContent,
                                   /*tells=*/false,
                                   /*takes_failures=*/true,
                                   /*returns_answers=*/false};

}  // namespace

const Adapter kStream = {"aws:kinesis", recognises, nullptr, &kRecords};

}  // namespace thaw::event
