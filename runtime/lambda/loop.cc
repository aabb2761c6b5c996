#include "runtime/lambda/loop.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "base/str.h"
#include "base/wipe.h"
#include "runtime/lambda/protocol.h"
#include "runtime/lambda/stream_responder.h"

namespace thaw::lambda {
namespace {

using std::chrono::milliseconds;

// A deadline further away than this is taken as this: no function platform lends an instance for a
// day, and the sum with the clock cannot overflow.
constexpr milliseconds kDeadlineAheadMax = std::chrono::hours(24);

// AWS's emulator hands on the first 6 MB and 100 bytes of what is larger: so many are too many.
constexpr std::size_t kEventBytesMax = kPayloadBytesMax + 99;

// The slowest handing-in of late is forgotten by a sixteenth with each that is quicker.
constexpr int kForgetShare = 16;
constexpr int kMarginTimes = 2;  // the margin is this often the slowest handing-in

// A header that is there but empty means the same as one that is not.
std::string text_of(const http::Fields& headers, std::string_view name) {
  return std::string(headers.get(name).value_or(""));
}

bool is_success(int status) { return status >= 200 && status < 300; }

http::Call post_call(std::string_view target, std::string_view body, http::Fields headers) {
  http::Call call;
  call.method = "POST";
  call.target = target;
  call.body = body;
  call.headers = std::move(headers);
  return call;
}

handler::InvocationError event_too_large(std::size_t bytes) {
  return {"Function.RequestTooLarge", cat("event: ", bytes, " bytes, Lambda's limit is ",
                                          kPayloadBytesMax, "; send less, or where it lies")};
}

}  // namespace

Result<std::unique_ptr<Loop>> Loop::create(Connect connect, Answer answer, Clock& clock,
                                           LoopOptions options) {
  THAW_TRY(transport, connect());
  return std::unique_ptr<Loop>(new Loop(std::move(connect), std::move(transport), std::move(answer),
                                        clock, std::move(options)));
}

Loop::Loop(Connect connect, std::unique_ptr<Transport> transport, Answer answer, Clock& clock,
           LoopOptions options)
    : connect_(std::move(connect)),
      transport_(std::move(transport)),
      answer_(std::move(answer)),
      clock_(clock),
      options_(std::move(options)) {}

Ending Loop::run() {
  std::uint32_t failures = 0;
  milliseconds wait = options_.retry_wait;
  while (true) {
    const Result<bool> stepped = step();
    if (stepped) {
      failures = 0;
      wait = options_.retry_wait;
      wipe_stack();
      if (!*stepped) return Ending::kFailed;
      continue;
    }
    if (stopping_) return Ending::kStopped;
    const Error& error = stepped.error();
    const bool hopeless = error.code == Code::kUnsupported;  // the platform's word for exit
    if (hopeless || ++failures >= options_.next_failures_max) {
      log_error(cat(error.message, "; giving up"));
      return Ending::kFailed;
    }
    log_warn(cat(error.message, "; trying again in ", wait.count(), " ms"));
    clock_.sleep_until(clock_.now() + wait);
    wait = std::min(wait * 2, options_.retry_wait_max);
  }
}

Result<bool> Loop::step() {
  // The order matters: stop() sets stopping_, then looks at waiting_.
  waiting_ = true;
  if (stopping_) return fail(Code::kCancelled, "next invocation: stopped");
  Result<Invocation> invocation = next();
  waiting_ = false;
  if (!invocation) return std::move(invocation).error();
  const LogScope scope(invocation->request_id);
  return invoke(*invocation);
}

void Loop::stop() {
  stopping_ = true;
  if (waiting_) transport_->interrupt();
}

Transport& Loop::transport() { return replacement_ ? *replacement_ : *transport_; }

Result<Loop::Invocation> Loop::next() {
  http::Call call;
  call.target = kNextPath;
  call.body_bytes_max = SIZE_MAX;  // what is too large is read and dropped, so as to be refused
  std::string event;
  std::size_t event_bytes = 0;
  http::Client::Sink sink;
  sink.body = [&](std::string_view part) -> Result<Done> {
    event_bytes += part.size();
    if (event_bytes <= kEventBytesMax) event += part;
    return Done{};
  };
  THAW_TRY(answer, transport().request(call, sink));
  if (answer.status == 500) {
    return fail(Code::kUnsupported,
                "next invocation: the platform answered 500, its word for exit");
  }
  if (!is_success(answer.status)) {
    return fail(Code::kIo, cat("next invocation: the platform answered ", answer.status));
  }
  THAW_TRY(invocation, read_invocation(answer.headers));
  invocation.event = std::move(event);
  invocation.event_bytes = event_bytes;
  return invocation;
}

Result<Loop::Invocation> Loop::read_invocation(const http::Fields& headers) {
  Invocation invocation;
  invocation.begin = clock_.now();
  invocation.request_id = text_of(headers, kRequestIdHeader);
  if (invocation.request_id.empty()) {
    return fail(Code::kIo, cat("next invocation: the answer has no ", kRequestIdHeader));
  }
  invocation.invocation_id = text_of(headers, kInvocationIdHeader);
  invocation.trace_id = text_of(headers, kTraceIdHeader);
  invocation.deadline = deadline_from(text_of(headers, kDeadlineHeader));
  return invocation;
}

std::optional<Clock::Monotonic> Loop::deadline_from(std::string_view epoch_ms) {
  if (epoch_ms.empty()) return std::nullopt;
  std::int64_t deadline_ms = 0;
  const char* end = epoch_ms.data() + epoch_ms.size();
  const auto parsed = std::from_chars(epoch_ms.data(), end, deadline_ms);
  if (parsed.ec != std::errc() || parsed.ptr != end || deadline_ms < 0) {
    log_warn(cat("next invocation: ", kDeadlineHeader,
                 " is not a number of milliseconds; going on "
                 "without a deadline"));
    return std::nullopt;
  }
  const auto wall_ms =
      std::chrono::duration_cast<milliseconds>(clock_.wall_now().time_since_epoch());
  const milliseconds left =
      std::clamp(milliseconds(deadline_ms) - wall_ms, -kDeadlineAheadMax, kDeadlineAheadMax);
  using std::chrono::nanoseconds;
  const nanoseconds wanted =
      handing_in_.count() == 0
          ? nanoseconds(options_.deadline_margin)
          : std::clamp<nanoseconds>(handing_in_ * kMarginTimes, options_.deadline_margin_min,
                                    options_.deadline_margin_max);
  const nanoseconds margin = std::min(wanted, std::max<nanoseconds>(left / 10, nanoseconds(0)));
  return clock_.now() + (left - margin);
}

void Loop::learn_margin(std::chrono::nanoseconds handing_in) {
  handing_in_ = std::max(handing_in, handing_in_ - handing_in_ / kForgetShare);
}

bool Loop::invoke(const Invocation& invocation) {
  if (options_.trace_id) options_.trace_id(invocation.trace_id);
  if (stopping_) {
    // stop() may have interrupted the connection after the event came through it.
    if (auto fresh = connect_()) replacement_ = std::move(*fresh);
  }
  StreamResponder responder(transport(), invocation.request_id, invocation.invocation_id);
  const handler::InvocationContext context{invocation.request_id, invocation.deadline, &stopping_};
  handler::Outcome outcome;
  if (invocation.event_bytes == invocation.event.size()) {
    outcome = answer_(invocation.event, context, responder);
  } else {
    outcome.error = event_too_large(invocation.event_bytes);
  }
  const auto answered = clock_.now();
  const bool go_on = hand_in(invocation, responder, outcome);
  const auto end = clock_.now();
  learn_margin(end - answered);
  if (!outcome.timing.empty()) log_info(cat("timings: ", outcome.timing));
  if (options_.invoked) {
    options_.invoked({invocation.request_id, end - invocation.begin, outcome});
  }
  return go_on;
}

bool Loop::hand_in(const Invocation& invocation, StreamResponder& responder,
                   const handler::Outcome& outcome) {
  if (responder.begun()) return finish_stream(responder, outcome);
  if (outcome.error) return report(invocation, *outcome.error);
  if (outcome.streamed) {
    return report(invocation, {"Runtime.TruncatedResponse", "the answer was never begun"});
  }
  return respond(invocation, outcome);
}

bool Loop::respond(const Invocation& invocation, const handler::Outcome& outcome) {
  const handler::InvocationError too_large{
      "Function.ResponseSizeTooLarge",
      cat("answer: ", outcome.body.size(), " bytes, Lambda takes ", kPayloadBytesMax,
          " in a buffered answer; ask for a stream, or for fewer tokens")};
  if (outcome.body.size() > kPayloadBytesMax) return report(invocation, too_large);
  const std::string target = cat(kInvocationPath, invocation.request_id, "/response");
  http::Fields headers{{"Content-Type", outcome.content_type}};
  if (!outcome.timing.empty()) headers.add(kTimingHeader, outcome.timing);
  if (!invocation.invocation_id.empty()) headers.add(kInvocationIdHeader, invocation.invocation_id);
  const auto answer = post(post_call(target, outcome.body, std::move(headers)));
  // The platform may count a limit of its own. It may also have failed the invocation by itself
  // then, and refuse the report; that is harmless, while an invocation without any answer is not.
  if (answer && answer->status == 413) return report(invocation, too_large);
  return accepted("response", answer);
}

bool Loop::report(const Invocation& invocation, const handler::InvocationError& error) {
  const std::string target = cat(kInvocationPath, invocation.request_id, "/error");
  http::Fields headers = error_headers(error);
  if (!invocation.invocation_id.empty()) headers.add(kInvocationIdHeader, invocation.invocation_id);
  const std::string document = error_document(error);
  log_error(cat(error.type, ": ", error.message));
  return accepted("error", post(post_call(target, document, std::move(headers))));
}

bool Loop::finish_stream(StreamResponder& responder, const handler::Outcome& outcome) {
  const std::optional<int> early = responder.early_status();
  if (early) {
    log_warn(cat("stream: the platform broke it off with ", *early));
    transport().close();
    return *early != 500;
  }
  if (responder.broken()) {
    log_warn("stream: the connection broke; its answer is lost");
    transport().close();
    return true;
  }
  std::optional<handler::InvocationError> error = outcome.error;
  if (responder.too_large()) {
    error = {"Function.ResponseSizeTooLarge", cat("stream: cut at ", kStreamBytesMax,
                                                  " bytes, Lambda's limit; ask for fewer tokens")};
  } else if (!error && !outcome.streamed) {
    error = {"Runtime.TruncatedResponse", "the answer was begun as a stream and not finished"};
  }
  if (error) log_error(cat(error->type, ": ", error->message));
  const auto answer = responder.finish(error);
  // As the platform asks after a stream that ended in an error.
  if (error) transport().close();
  return accepted("stream", answer);
}

bool Loop::accepted(std::string_view what, const Result<http::Response>& answer) {
  if (!answer) {
    log_error(cat(what, ": ", answer.error().message, "; the answer is lost"));
    return true;  // /next finds out whether the platform is still there
  }
  if (is_success(answer->status)) return true;
  if (answer->status == 500) {
    log_error(cat(what, ": the platform answered 500, its word for exit"));
    return false;
  }
  log_warn(cat(what, ": the platform answered ", answer->status,
               answer->status == 410 ? " (too late)" : "", "; going on"));
  return true;
}

Result<http::Response> Loop::post(const http::Call& call) {
  Result<http::Response> answer = transport().request(call);
  if (answer) return answer;
  const Code code = answer.error().code;
  if (code == Code::kCancelled && stopping_ && !replacement_) {
    THAW_TRY(fresh, connect_());
    replacement_ = std::move(fresh);
    return transport().request(call);
  }
  // Sent twice, an answer is refused the second time; not sent, it would be lost.
  if (code == Code::kIo || code == Code::kUnavailable) return transport().request(call);
  return answer;
}

http::Fields error_headers(const handler::InvocationError& error) {
  return {{"Content-Type", "application/json"},
          {std::string(kErrorTypeHeader), std::string(header_error_type(error.type))},
          {std::string(kErrorCauseHeader), error_cause(error)}};
}

Result<Done> report_init_error(const Connect& connect, const handler::InvocationError& error) {
  THAW_TRY(transport, connect());
  const std::string document = error_document(error);
  THAW_TRY(answer, transport->request(post_call(kInitErrorPath, document, error_headers(error))));
  if (is_success(answer.status)) return Done{};
  return fail(Code::kIo, cat("report init error: the platform answered ", answer.status));
}

}  // namespace thaw::lambda
