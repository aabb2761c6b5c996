// Apache Kafka, Amazon MSK and self-managed, with partial batch responses:
// docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html
#include "base/str.h"
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/value", "base64"};

bool recognises(const json::Value& event) {
  const std::string_view source = event["eventSource"].text();
  return (source == "aws:kafka" || source == "SelfManagedKafka") && event["records"].is_object();
}

Result<Batch> read(const json::Value& event) {
  Batch batch;
  for (const json::Value& partition : event["records"]) {
    std::size_t index = 0;
    for (const json::Value& record : partition) {
      const std::string name = cat("records[", index++, "].offset");
      if (!record["offset"].as_int64()) {
        return fail(Code::kInvalid, cat("event '", name, "': found ",
                                        name_of(record["offset"].type()), ", wanted an integer"));
      }
      // Its place in the topic is what Kafka calls it: "topic-0@15".
      batch.records.push_back({cat(partition.key(), "@", *record["offset"].as_int64()), record,
                               cat("partition ", partition.key())});
    }
  }
  return batch;
}

std::string write(const json::Value&, std::span<const RecordResult> results, const AnswerFrame&) {
  std::string answer;
  json::Writer writer(answer);
  writer.begin_object().key("batchItemFailures").begin_array();
  for (const RecordResult& result : results) {
    if (!result.failed()) continue;
    const std::string& id = result.record->id;
    writer.begin_object().key("itemIdentifier").begin_object();
    writer.field("partition", std::string_view(id).substr(0, id.rfind('@')));
    writer.key("offset").raw(std::string_view(id).substr(id.rfind('@') + 1));
    writer.end_object().end_object();
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

const Adapter kKafka = {"aws:kafka", recognises, nullptr, &kRecords};

}  // namespace thaw::event
