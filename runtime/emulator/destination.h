// Where records of asynchronous invocations go: what a destination's name means, and the document
// that AWS sends there. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace thaw::emulator {

struct Destination {
  enum class Kind : unsigned char { kFile, kUrl, kFunction };
  Kind kind = Kind::kFile;
  // A path, to which lines are appended (relative ones lie in the state directory); an http URL; a
  // function of this emulator.
  std::string target;
};

// "file:PATH"; "http://HOST:PORT/PATH"; "arn:aws:lambda:...:function:NAME"; and
// "arn:aws:sqs|sns|s3|events:...:NAME", which is the file destinations/SERVICE-NAME.jsonl.
// Errors: kInvalid.
Result<Destination> parse_destination(std::string_view text);

// What AWS's document tells of an asynchronous invocation that has ended.
struct InvocationRecord {
  Clock::Wall time{};
  std::string request_id, function_arn;
  std::string condition;  // "Success", "RetriesExhausted", "EventAgeExceeded", ...
  std::uint32_t invoke_count = 0;
  std::string request;  // the event
  // Absent where the function never ran.
  std::optional<std::string> response;
  bool failed = false;
};

// One line, without its end.
std::string destination_document(const InvocationRecord& record);

// What a dead-letter queue is told: the event, and what SQS carries beside it as attributes.
std::string dead_letter_document(const InvocationRecord& record);

}  // namespace thaw::emulator
