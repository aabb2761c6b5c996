// Amazon SQS, with partial batch responses:
// docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/body"};

bool recognises(const json::Value& event) { return first_source(event["Records"]) == "aws:sqs"; }

Result<Batch> read(const json::Value& event) {
  // Without a name a failure could not be told: an empty identifier fails the whole batch.
  THAW_TRY(batch, read_list(event, "Records", [](const json::Value& record) {
             return IdField{record["messageId"], "messageId"};
           }));
  // As the documentation asks, a failure stops the whole batch of a FIFO queue, whatever the
  // messages' groups.
  for (Record& record : batch.records) {
    if (record.value["eventSourceARN"].text().ends_with(".fifo")) record.group = "fifo";
  }
  return std::move(batch);
}

std::string write(const json::Value&, std::span<const RecordResult> results, const AnswerFrame&) {
  std::string answer;
  json::Writer writer(answer);
  writer.begin_object().key("batchItemFailures").begin_array();
  for (const RecordResult& result : results) {
    if (!result.failed()) continue;
    writer.begin_object().field("itemIdentifier", result.record->id).end_object();
  }
  writer.end_array().end_object();
  return answer;
}

constexpr RecordSource kRecords = {read,
                                   write,
                                   kContent,
                                   /*tells=*/false,
                                   /*takes_failures=*/true,
                                   /*returns_answers=*/false};

}  // namespace

const Adapter kQueue = {"aws:sqs", recognises, nullptr, &kRecords};

}  // namespace thaw::event
