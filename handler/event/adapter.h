// Sources of events: how to recognise one by the fields that its documentation promises, how to
// read it, and how to answer in the shape that it wants. Knows no model and no request shapes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "handler/event/http_message.h"
#include "handler/event/json.h"

namespace thaw::event {

// One record of a batch. Views live as long as the event's Document.
struct Record {
  std::string_view id;    // by which its failure is reported; never empty
  std::string_view body;  // what was sent
};

struct Batch {
  std::vector<Record> records;
  bool in_order = false;  // after a failure nothing behind it may be handled (FIFO queues)
};

// A source that carries HTTP.
struct HttpSource {
  // Errors: kInvalid, naming the event's field.
  Result<HttpRequest> (*read)(const json::Value& event);
  std::string (*write)(const HttpRequest& request, const HttpResponse& response);
};

// A source that carries records and takes a partial answer.
struct BatchSource {
  // Errors: kInvalid, naming the event's field.
  Result<Batch> (*read)(const json::Value& event);
  std::string (*write)(std::span<const std::string_view> failed_ids);
};

// Immutable; one for each source, at most one of `http` and `batch` is set.
struct Adapter {
  std::string_view source;  // as messages name it
  bool (*recognises)(const json::Value& event);
  const HttpSource* http = nullptr;
  const BatchSource* batch = nullptr;
};

// The adapter whose source sent `event`; null where none did.
const Adapter* find_adapter(const json::Value& event);

// The name of a source that is known but has no adapter ("aws:s3", "eventbridge"); empty where the
// event is not known at all. At most 64 bytes of [A-Za-z0-9:._-].
std::string unhandled_source(const json::Value& event);

// The names of an unknown event's fields, for a message: bounded, printable, never values.
std::string field_names(const json::Value& event);

}  // namespace thaw::event
