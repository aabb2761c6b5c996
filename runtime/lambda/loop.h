// The loop that a function runs on AWS Lambda: asks the Runtime API for an event, has it answered,
// hands the answer back, buffered or streamed, and begins again. Knows nothing of models.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "handler/handler.h"
#include "runtime/lambda/transport.h"

namespace thaw::lambda {

class StreamResponder;

// Answers one event; handler::Handler::handle, or a test's stand-in.
using Answer = std::function<handler::Outcome(
    std::string_view event, const handler::InvocationContext& context, handler::Responder&)>;

// One invocation, over: what metrics are made of.
struct Invoked {
  std::string_view request_id;
  std::chrono::nanoseconds duration;  // from the event's arrival to the platform's word
  const handler::Outcome& outcome;    // its text is nobody's business
};

struct LoopOptions {
  // Told each invocation's trace id, or an empty one, before its event is answered: the platform
  // wants it in the environment (_X_AMZN_TRACE_ID), which is main's. May be empty.
  std::function<void(std::string_view trace_id)> trace_id;
  // Told of each invocation after its answer. May be empty.
  std::function<void(const Invoked&)> invoked;
  // An answer ends this much before the platform's deadline, so that its end still gets through,
  // or a tenth of the time that is left where that is less. Until an answer has been handed in it
  // is the first; then it follows the time that this took, within the other two.
  std::chrono::milliseconds deadline_margin{200};
  std::chrono::milliseconds deadline_margin_min{20};
  std::chrono::milliseconds deadline_margin_max{1000};
  // Failures of /next in a row before the loop gives up; the waits between them double from
  // retry_wait to retry_wait_max: about three seconds in all.
  std::uint32_t next_failures_max = 9;
  std::chrono::milliseconds retry_wait{10};
  std::chrono::milliseconds retry_wait_max{1000};
};

enum class Ending : unsigned char {
  kStopped,  // as stop() asked: exit 0
  kFailed,   // the platform said 500, or cannot be reached: exit 1
};

// One thread runs it; stop() may come from another or from a signal handler. What goes wrong is
// logged; no event and no answer ever is.
class Loop {
 public:
  // `clock` outlives the loop. Errors: kInvalid (an authority that is no address).
  static Result<std::unique_ptr<Loop>> create(Connect connect, Answer answer, Clock& clock,
                                              LoopOptions options = {});

  // Until stop(), or until the platform is lost. The stack is wiped after each invocation, so that
  // in a program with wiping_delete.cc nothing of one is left for the next.
  //
  // What the platform says of an answer: 2xx, go on; 400, 403, 410 (an answer that came late or
  // twice), log and go on; 413, report the invocation as failed and go on; 500, end. An answer
  // whose connection broke is sent once more unless it was streamed. An event larger than Lambda's
  // is reported as failed; what is no event at all counts as a failure of /next.
  Ending run();

  // A loop that waits for an invocation ends at once. One in progress is told to hurry (its
  // generation ends as at its deadline) and its answer is handed in.
  void stop();

 private:
  struct Invocation {
    std::string request_id;
    std::string invocation_id;  // empty: the platform gave none
    std::string trace_id;
    std::optional<Clock::Monotonic> deadline;
    Clock::Monotonic begin;
    std::string event;
    std::size_t event_bytes = 0;  // more than event.size() where it was too large to keep
  };

  Loop(Connect connect, std::unique_ptr<Transport> transport, Answer answer, Clock& clock,
       LoopOptions options);

  // One event asked for and answered; false where the platform wants the process to end.
  Result<bool> step();
  Result<Invocation> next();
  Result<Invocation> read_invocation(const http::Fields& headers);
  std::optional<Clock::Monotonic> deadline_from(std::string_view epoch_ms);
  // All of these give false where the platform wants the process to end.
  bool invoke(const Invocation& invocation);
  bool hand_in(const Invocation& invocation, StreamResponder& responder,
               const handler::Outcome& outcome);
  bool respond(const Invocation& invocation, const handler::Outcome& outcome);
  bool report(const Invocation& invocation, const handler::InvocationError& error);
  bool finish_stream(StreamResponder& responder, const handler::Outcome& outcome);
  bool accepted(std::string_view what, const Result<http::Response>& answer);
  Result<http::Response> post(const http::Call& call);
  Transport& transport();
  void learn_margin(std::chrono::nanoseconds handing_in);

  Connect connect_;
  // The one that stop() interrupts: never replaced, because stop() may run at any moment.
  std::unique_ptr<Transport> transport_;
  // Takes over for the last answer where stop() interrupted the first just as an event came.
  std::unique_ptr<Transport> replacement_;
  Answer answer_;
  Clock& clock_;
  LoopOptions options_;
  std::chrono::nanoseconds handing_in_{0};  // the slowest of late; 0: none yet
  std::atomic<bool> stopping_{false};
  std::atomic<bool> waiting_{false};
};

// What is posted about a failure, beside its document.
http::Fields error_headers(const handler::InvocationError& error);

// Tells the platform that the function cannot start; the process should then exit with 1.
// Errors: as http::Client::request, and kIo for an answer other than 2xx.
Result<Done> report_init_error(const Connect& connect, const handler::InvocationError& error);

}  // namespace thaw::lambda
