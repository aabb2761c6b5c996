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

// Events end at 6 MB; some room for what a platform adds around one.
constexpr std::size_t kEventBytesMax = 8u << 20;

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
    // kCorrupt, kLimit and kUnsupported come back the same however often one asks.
    const bool hopeless = error.code != Code::kUnavailable && error.code != Code::kIo;
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
  call.body_bytes_max = kEventBytesMax;
  THAW_TRY(answer, transport().request(call));
  if (answer.status == 500) {
    return fail(Code::kUnsupported,
                "next invocation: the platform answered 500, its word for exit");
  }
  if (!is_success(answer.status)) {
    return fail(Code::kIo, cat("next invocation: the platform answered ", answer.status));
  }
  return read_invocation(std::move(answer));
}

Result<Loop::Invocation> Loop::read_invocation(http::Response answer) {
  Invocation invocation;
  invocation.request_id = text_of(answer.headers, kRequestIdHeader);
  if (invocation.request_id.empty()) {
    return fail(Code::kIo, cat("next invocation: the answer has no ", kRequestIdHeader));
  }
  invocation.invocation_id = text_of(answer.headers, kInvocationIdHeader);
  invocation.trace_id = text_of(answer.headers, kTraceIdHeader);
  invocation.deadline = deadline_from(text_of(answer.headers, kDeadlineHeader));
  invocation.event = std::move(answer.body);
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
  const milliseconds margin =
      std::min(options_.deadline_margin, std::max(left / 10, milliseconds(0)));
  return clock_.now() + (left - margin);
}

bool Loop::invoke(const Invocation& invocation) {
  if (options_.trace_id) options_.trace_id(invocation.trace_id);
  if (stopping_) {
    // stop() may have interrupted the connection after the event came through it.
    if (auto fresh = connect_()) replacement_ = std::move(*fresh);
  }
  StreamResponder responder(transport(), invocation.request_id, invocation.invocation_id);
  const handler::InvocationContext context{invocation.request_id, invocation.deadline};
  const handler::Outcome outcome = answer_(invocation.event, context, responder);
  if (!outcome.timing.empty()) {
    log_info(cat("timings ", invocation.request_id, ": ", outcome.timing));
  }
  if (responder.begun()) return finish_stream(responder, invocation, outcome);
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
  return accepted("response", invocation, answer);
}

bool Loop::report(const Invocation& invocation, const handler::InvocationError& error) {
  const std::string target = cat(kInvocationPath, invocation.request_id, "/error");
  http::Fields headers{{"Content-Type", "application/json"},
                       {std::string(kErrorTypeHeader), std::string(header_error_type(error.type))}};
  if (!invocation.invocation_id.empty()) headers.add(kInvocationIdHeader, invocation.invocation_id);
  const std::string document = error_document(error);
  return accepted("error", invocation, post(post_call(target, document, std::move(headers))));
}

bool Loop::finish_stream(StreamResponder& responder, const Invocation& invocation,
                         const handler::Outcome& outcome) {
  const std::optional<int> early = responder.early_status();
  if (early) {
    log_warn(cat("stream ", invocation.request_id, ": the platform broke it off with ", *early));
    transport().close();
    return *early != 500;
  }
  if (responder.broken()) {
    log_warn(cat("stream ", invocation.request_id, ": the connection broke; its answer is lost"));
    transport().close();
    return true;
  }
  std::optional<handler::InvocationError> error = outcome.error;
  if (!error && !outcome.streamed) {
    error = {"Runtime.TruncatedResponse", "the answer was begun as a stream and not finished"};
  }
  const auto answer = responder.finish(error);
  // As the platform asks after a stream that ended in an error.
  if (error) transport().close();
  return accepted("stream", invocation, answer);
}

bool Loop::accepted(std::string_view what, const Invocation& invocation,
                    const Result<http::Response>& answer) {
  if (!answer) {
    log_error(cat(what, " ", invocation.request_id, ": ", answer.error().message,
                  "; the answer is lost"));
    return true;  // /next finds out whether the platform is still there
  }
  if (is_success(answer->status)) return true;
  if (answer->status == 500) {
    log_error(cat(what, " ", invocation.request_id,
                  ": the platform answered 500, its word for "
                  "exit"));
    return false;
  }
  log_warn(cat(what, " ", invocation.request_id, ": the platform answered ", answer->status,
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

Result<Done> report_init_error(const Connect& connect, const handler::InvocationError& error) {
  THAW_TRY(transport, connect());
  const std::string document = error_document(error);
  http::Fields headers{{"Content-Type", "application/json"},
                       {std::string(kErrorTypeHeader), std::string(header_error_type(error.type))}};
  THAW_TRY(answer, transport->request(post_call(kInitErrorPath, document, std::move(headers))));
  if (is_success(answer.status)) return Done{};
  return fail(Code::kIo, cat("report init error: the platform answered ", answer.status));
}

}  // namespace thaw::lambda
