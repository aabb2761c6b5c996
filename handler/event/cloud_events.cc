// CloudEvents 1.0.2 in JSON, one or a batch: github.com/cloudevents/spec
// The answer to an event is an event: "thaw.answer", or in a batch "thaw.error", with the id of
// what it answers as "causeid".
#include "handler/event/cloud_events.h"
#include "base/str.h"
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/data"};
constexpr std::string_view kBinary[] = {"/data_base64", "base64"};  // the same data

bool recognises_one(const json::Value& event) {
  return event["specversion"].is_string() && event["type"].is_string() &&
         event["source"].is_string();
}

bool recognises_batch(const json::Value& event) {
  return event.is_array() && event.at(0)["specversion"].is_string();
}

// What is wrong with an event by its specification; empty: nothing.
std::string check(const json::Value& event) {
  for (const std::string_view name : {"specversion", "id", "source", "type"}) {
    if (event[name].text().empty()) {
      return cat("event '", name, "': found ", name_of(event[name].type()), ", wanted a string");
    }
  }
  if (event["specversion"].text() != "1.0") {
    return "event 'specversion': found another version, wanted 1.0";
  }
  if (!event["data"].is_nothing() && !event["data_base64"].is_nothing()) {
    return "event 'data': found 'data_base64' beside it, wanted one of them";
  }
  return {};
}

void add(const json::Value& event, Batch& batch) {
  Record record;
  record.id = event["id"].text();
  if (record.id.empty()) record.id = cat("event-", batch.records.size());
  record.value = event;
  record.wrong = check(event);
  if (!event["data_base64"].is_nothing()) record.path = kBinary;
  batch.records.push_back(std::move(record));
}

Result<Batch> read_one(const json::Value& event) {
  Batch batch;
  add(event, batch);
  return batch;
}

Result<Batch> read_batch(const json::Value& events) {
  Batch batch;
  for (const json::Value& event : events) add(event, batch);
  return batch;
}

void write_event(json::Writer& writer, const RecordResult& result, std::size_t index,
                 const AnswerFrame& frame) {
  writer.begin_object();
  for (const auto& [name, value] : answer_attributes(result, index, frame)) {
    writer.field(name, value);
  }
  writer.field("datacontenttype", "application/json").key("data");
  if (result.failed()) {
    write_error(writer, result);
  } else {
    writer.raw(result.answer);
  }
  writer.end_object();
}

std::string write_one(const json::Value&, std::span<const RecordResult> results,
                      const AnswerFrame& frame) {
  std::string answer;
  json::Writer writer(answer);
  write_event(writer, results.front(), 0, frame);
  return answer;
}

std::string write_batch(const json::Value&, std::span<const RecordResult> results,
                        const AnswerFrame& frame) {
  std::string answer;
  json::Writer writer(answer);
  writer.begin_array();
  for (std::size_t i = 0; i < results.size(); ++i) write_event(writer, results[i], i, frame);
  writer.end_array();
  return answer;
}

constexpr RecordSource kOne = {read_one, write_one, kContent, /*tells=*/true};
constexpr RecordSource kBatch = {read_batch, write_batch, kContent, /*tells=*/true,
                                 /*takes_failures=*/true};

// Days since 1970-01-01 to a date, in the proleptic Gregorian calendar.
std::string rfc3339(std::int64_t unix_seconds) {
  const std::int64_t days = unix_seconds / 86400;
  const std::int64_t second = unix_seconds % 86400;
  const std::int64_t shifted = days + 719468;  // since 0000-03-01
  const std::int64_t era = shifted / 146097;
  const std::int64_t day_of_era = shifted % 146097;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t month = (5 * day_of_year + 2) / 153;  // from March
  const std::int64_t day = day_of_year - (153 * month + 2) / 5 + 1;
  const std::int64_t year = year_of_era + era * 400 + (month >= 10 ? 1 : 0);
  const auto two = [](std::int64_t number) { return cat(number < 10 ? "0" : "", number); };
  return cat(year, "-", two(month < 10 ? month + 3 : month - 9), "-", two(day), "T",
             two(second / 3600), ":", two(second / 60 % 60), ":", two(second % 60), "Z");
}

}  // namespace

Pairs answer_attributes(const RecordResult& result, std::size_t index, const AnswerFrame& frame) {
  return {{"specversion", "1.0"},
          {"id", cat(frame.request_id, "-", index)},
          {"source", "/thaw"},
          {"type", result.failed() ? "thaw.error" : "thaw.answer"},
          {"time", rfc3339(frame.unix_seconds)},
          {"causeid", result.record->id}};
}

const Adapter kCloudEvent = {"cloudevents", recognises_one, nullptr, &kOne};
const Adapter kCloudEvents = {"cloudevents-batch", recognises_batch, nullptr, &kBatch};

}  // namespace thaw::event
