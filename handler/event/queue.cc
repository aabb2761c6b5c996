// Amazon SQS, with partial batch responses:
// docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
#include "base/str.h"
#include "handler/event/http_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

bool recognises(const json::Value& event) {
  return event["Records"].at(0)["eventSource"].text() == "aws:sqs";
}

Result<Batch> read(const json::Value& event) {
  Batch batch;
  std::size_t index = 0;
  for (const json::Value& record : event["Records"]) {
    const std::string name = cat("Records[", index++, "].messageId");
    THAW_TRY(id, required_text(record["messageId"], name));
    // A failure could not be reported: an empty identifier fails the whole batch.
    if (id.empty()) return fail(Code::kInvalid, cat("event '", name, "': found an empty string"));
    batch.records.push_back({id, record["body"].text()});
    batch.in_order = batch.in_order || record["eventSourceARN"].text().ends_with(".fifo");
  }
  return batch;
}

std::string write(std::span<const std::string_view> failed_ids) {
  std::string answer;
  json::Writer writer(answer);
  writer.begin_object().key("batchItemFailures").begin_array();
  for (const std::string_view id : failed_ids) {
    writer.begin_object().field("itemIdentifier", id).end_object();
  }
  writer.end_array().end_object();
  return answer;
}

constexpr BatchSource kBatch = {read, write};

}  // namespace

const Adapter kQueue = {"aws:sqs", recognises, nullptr, &kBatch};

}  // namespace thaw::event
