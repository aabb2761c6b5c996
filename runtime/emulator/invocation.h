// One invocation on its way through the emulator: what was asked, and the answer as it comes,
// handed from the thread that hears the runtime to the thread that serves the caller.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace thaw::emulator {

// A failed invocation, as the caller of the Invoke API sees it.
struct Failure {
  std::string type;       // "Runtime.ExitError"
  std::string document;   // the JSON that takes the answer's place
  std::string line = {};  // what the log says of it, where that is the platform's to say
};

// {"errorType", "errorMessage": "RequestId: ID Error: MESSAGE"}, AWS's shape for what its own side
// says of an invocation.
Failure platform_failure(std::string_view type, std::string_view request_id,
                         std::string_view message);

struct AnswerHead {
  bool streamed = false;
  std::string content_type;
  std::string timing = {};  // what the runtime said of its phases, or empty
};

// A pipe with room for kWaitingBytesMax. Thread-safe; one producer, one consumer.
class AnswerPipe {
 public:
  static constexpr std::size_t kWaitingBytesMax = 1 << 20;  // a slow caller slows the runtime down

  // The runtime's side. False: the caller's side has abandoned the answer.
  bool begin(AnswerHead head);
  bool push(std::string_view part);
  // The end, with a failure or without. The first call counts, later ones are ignored.
  bool end(std::optional<Failure> failure);

  // The caller's side. Waits for the head (or an end without one); false when `until` passed.
  bool wait_begin(Clock::Monotonic until);
  // The head, if one came.
  std::optional<AnswerHead> head() const;
  // Waits for a part; empty at the end; nothing when `until` passed.
  std::optional<std::string> next(Clock::Monotonic until);
  // How it ended; nothing also while it has not.
  std::optional<Failure> failure() const;
  // When the runtime's side was done with it; nothing while it is not.
  std::optional<Clock::Monotonic> ended_at() const;
  // No more is wanted: the runtime's side is told at its next call.
  void abandon();

 private:
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::optional<AnswerHead> head_;
  std::deque<std::string> parts_;
  std::size_t waiting_bytes_ = 0;
  bool ended_ = false;
  Clock::Monotonic ended_at_{};
  bool abandoned_ = false;
  std::optional<Failure> failure_;
};

struct Invocation {
  std::string request_id;
  std::string invocation_id;  // of this attempt
  std::string function_arn;
  std::string trace_id;
  std::string client_context;  // JSON, or empty
  std::string event;
  Clock::Wall deadline{};  // as the runtime is told
  AnswerPipe answer;
};

}  // namespace thaw::emulator
