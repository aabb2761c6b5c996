// From a record of an event to what it holds: along a path of JSON Pointers and decodings, as the
// manifest writes it: ["/kinesis/data", "base64", "gzip", "json", "/question"].
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "handler/event/adapter.h"
#include "handler/event/json.h"
#include "handler/fields.h"
#include "handler/manifest.h"
#include "handler/request.h"

namespace thaw::handler {

// What a path led to. Values live as long as it and the event.
struct Content {
  json::Value value;  // absent: nothing was there, unless `is_text`
  std::string text;   // what a decoding gave
  bool is_text = false;
  std::vector<std::unique_ptr<event::Decoded>> decoded;
};

// Errors: kInvalid  a decoding that does not fit what is there
//         kCorrupt, kLimit  from unpacking
Result<Content> follow(const json::Value& record, event::Path path);

// A step of a path: a JSON Pointer, or one of "base64", "gzip", "json", "url", "dynamodb".
bool is_step(std::string_view text);

// The request that a record makes, as the manifest maps its source or as the source itself has it.
// Text is a prompt, unless it is a direct event: a JSON object with a prompt or messages. An object
// that is none is a prompt as its JSON text.
std::variant<Request, FieldError> read_record(const event::Adapter& adapter,
                                              const event::Record& record,
                                              const Manifest& manifest);

}  // namespace thaw::handler
