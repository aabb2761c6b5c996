#include "handler/event/record_fields.h"

#include <utility>

#include "base/str.h"

namespace thaw::event {

std::string_view first_source(const json::Value& list) {
  const json::Value first = list.at(0);
  const json::Value name = first["eventSource"];
  return name ? name.text() : first["EventSource"].text();  // SNS alone has a large letter
}

Result<std::string> required_id(const json::Value& value, std::string_view field) {
  std::string id(value.type() == json::Type::kNumber ? value.number_text() : value.text());
  if (!id.empty()) return id;
  return fail(Code::kInvalid, cat("event '", field, "': found ",
                                  value.is_string() ? "an empty string" : name_of(value.type()),
                                  ", wanted a name"));
}

Batch only_record(std::string id, const json::Value& value) {
  Batch batch;
  batch.records.push_back({std::move(id), value, {}});
  return batch;
}

Result<Batch> read_list(const json::Value& event, std::string_view list,
                        IdField (*id_of)(const json::Value& record)) {
  Batch batch;
  std::size_t index = 0;
  for (const json::Value& record : event[list]) {
    const IdField field = id_of(record);
    THAW_TRY(id, required_id(field.value, cat(list, "[", index++, "].", field.name)));
    batch.records.push_back({std::move(id), record, {}});
  }
  return batch;
}

void write_error(json::Writer& writer, const RecordResult& failed) {
  writer.begin_object().key("error").begin_object();
  writer.field("message", failed.error_message).field("type", failed.error_type);
  writer.end_object().end_object();
}

std::string write_results(const json::Value&, std::span<const RecordResult> results,
                          const AnswerFrame&) {
  std::string answer;
  json::Writer writer(answer);
  writer.begin_object().key("results").begin_array();
  for (const RecordResult& result : results) {
    writer.begin_object().field("id", result.record->id).key("answer").raw(result.answer);
    writer.end_object();
  }
  writer.end_array().end_object();
  return answer;
}

std::string write_only(const json::Value&, std::span<const RecordResult> results,
                       const AnswerFrame&) {
  return results.empty() ? "{}" : results.front().answer;
}

std::string write_shard(const json::Value& event, std::span<const RecordResult> results,
                        const AnswerFrame&) {
  std::string answer;
  json::Writer writer(answer);
  writer.begin_object();
  if (event["window"].is_object()) {
    writer.key("state");
    event["state"].is_object() ? writer.raw(to_text(event["state"])) : writer.raw("{}");
  }
  writer.key("batchItemFailures").begin_array();
  for (const RecordResult& result : results) {
    if (!result.failed()) continue;
    writer.begin_object().field("itemIdentifier", result.record->id).end_object();
    break;
  }
  writer.end_array().end_object();
  return answer;
}

bool is_window_of(const json::Value& event, std::string_view service) {
  return event["window"].is_object() && event["shardId"] && event["Records"].is_array() &&
         event["Records"].size() == 0 &&
         event["eventSourceARN"].text().find(service) != std::string_view::npos;
}

}  // namespace thaw::event
