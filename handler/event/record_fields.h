// What the record sources' events and answers have in common.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "handler/event/adapter.h"
#include "handler/event/json.h"
#include "handler/event/json_writer.h"

namespace thaw::event {

// The name of the source that the first of `list`'s records gives itself.
std::string_view first_source(const json::Value& list);

// A string that names something, or a number's spelling. Errors: kInvalid (another type, empty),
// naming the field.
Result<std::string> required_id(const json::Value& value, std::string_view field);

// The batch of one record that is the whole event.
Batch only_record(std::string id, const json::Value& value);

// The records of event[`list`], each with the id that `id_of` finds in it at the name it gives.
struct IdField {
  json::Value value;
  std::string_view name;
};
Result<Batch> read_list(const json::Value& event, std::string_view list,
                        IdField (*id_of)(const json::Value& record));

// {"results": [{"id", "answer"}, ...]}: of sources that want nothing of their own.
std::string write_results(const json::Value& event, std::span<const RecordResult> results,
                          const AnswerFrame& frame);
// The one record's answer as it is.
std::string write_only(const json::Value& event, std::span<const RecordResult> results,
                       const AnswerFrame& frame);

// {"error": {"message", "type"}} as a value.
void write_error(json::Writer& writer, const RecordResult& failed);

// {"batchItemFailures": [...]} for a shard: the first that failed, from which on all come again.
// With a tumbling window's `state`, which is handed on unchanged.
std::string write_shard(const json::Value& event, std::span<const RecordResult> results,
                        const AnswerFrame& frame);

// The empty window that closes a tumbling one: no record says its source there.
bool is_window_of(const json::Value& event, std::string_view service);

}  // namespace thaw::event
