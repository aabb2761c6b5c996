// Sources of events: how to recognise one by the fields that its documentation promises, how to
// read it, and how to answer in the shape that it wants. Knows no model and no request shapes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "handler/event/http_message.h"
#include "handler/event/json.h"

namespace thaw::event {

// Where a record's prompt or request is: JSON Pointers into it, and the decodings between them:
// {"/kinesis/data", "base64"}. See handler/payload.h.
using Path = std::span<const std::string_view>;

// One thing to answer. Views live as long as the event's Document and the Batch.
struct Record {
  // By which messages, seeds and files name it: what the source calls it. Never empty.
  std::string id;
  json::Value value;  // as the source sent it: what a manifest's JSON Pointers look into
  // Records of one group are handled in their order, and none behind one that failed (a FIFO queue,
  // a shard). Empty: in any order.
  std::string group;
  // Where the content is not at the source's usual place: it, or the way to it.
  json::Value content = {};
  Path path = {};
  // What is wrong with it, where that is known already: it fails alone.
  std::string wrong = {};
};

// JSON that lay encoded in an event.
struct Decoded {
  std::string text;
  json::Document document;  // points into `text`
};

struct Batch {
  std::vector<Record> records;
  std::vector<std::unique_ptr<Decoded>> decoded;  // what records' values point into
};

// What became of a record.
struct RecordResult {
  const Record* record = nullptr;
  std::string answer;         // a JSON document; empty where it failed
  std::string error_type;     // "Function.InvalidRequest"; empty where it was answered
  std::string error_message;  // one line, no prompt text
  bool failed() const { return !error_type.empty(); }
};

// The parts of an answer that no record knows.
struct AnswerFrame {
  std::string_view request_id;
  std::int64_t unix_seconds = 0;
};

// A source that carries HTTP.
struct HttpSource {
  // Errors: kInvalid, naming the event's field.
  Result<HttpRequest> (*read)(const json::Value& event);
  std::string (*write)(const HttpRequest& request, const HttpResponse& response);
};

// A source that carries records.
struct RecordSource {
  // Errors: kInvalid, naming the event's field; kCorrupt, kLimit: from decoding.
  Result<Batch> (*read)(const json::Value& event);
  // One result for each record, in order.
  std::string (*write)(const json::Value& event, std::span<const RecordResult> results,
                       const AnswerFrame& frame);
  // Where the content is, unless the manifest says otherwise.
  Path content;
  // Where nothing is there, the whole record is the content: it tells what happened, not what to
  // do.
  bool tells = false;
  // The answer tells which records failed. Otherwise one that failed fails the invocation, so that
  // the source's own retries see it.
  bool takes_failures = false;
  // The answers are in the answer. Otherwise they are for files only.
  bool returns_answers = true;
};

// Immutable; one for each source, exactly one of `http` and `records` is set.
struct Adapter {
  std::string_view source;  // as messages, metrics and manifests name it
  bool (*recognises)(const json::Value& event);
  const HttpSource* http = nullptr;
  const RecordSource* records = nullptr;
};

// All of them; no event is recognised by two.
std::span<const Adapter* const> adapters();
// The adapter whose source sent `event`; null where none did.
const Adapter* find_adapter(const json::Value& event);
// The adapter of a source that carries records; null where there is none of that name.
const Adapter* find_record_source(std::string_view source);

// The name of a source that is known but has no adapter ("cognito-user-pool", "aws-config"); empty
// where the event is not known at all. At most 64 bytes of [A-Za-z0-9:._-].
std::string unhandled_source(const json::Value& event);

// The names of an unknown event's fields, for a message: bounded, printable, never values.
std::string field_names(const json::Value& event);

}  // namespace thaw::event
