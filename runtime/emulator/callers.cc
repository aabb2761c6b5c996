#include "runtime/emulator/callers.h"

#include <utility>

#include "base/str.h"
#include "runtime/emulator/aws_error.h"
#include "runtime/emulator/cors.h"
#include "runtime/emulator/event_stream.h"
#include "runtime/emulator/function_url.h"
#include "runtime/lambda/protocol.h"

namespace thaw::emulator {
namespace {

const std::string kPreludeEnd(lambda::kPreludeEndBytes, '\0');

Failure too_large(std::string_view request_id) {
  return platform_failure("Function.ResponseSizeTooLarge", request_id,
                          cat("Response payload size exceeded maximum allowed payload size (",
                              lambda::kPayloadBytesMax, " bytes)."));
}

}  // namespace

void send_throttled(http::ResponseWriter& writer, const Completion& completion,
                    std::string_view request_id) {
  const auto reason = completion.refusal.value_or(warmpool::Reason::kTotalConcurrency);
  const bool rate = reason == warmpool::Reason::kFunctionInvocationRate ||
                    reason == warmpool::Reason::kTotalInvocationRate;
  const bool function = reason == warmpool::Reason::kFunctionConcurrency;
  send_error(writer,
             rate       ? kRateThrottled
             : function ? kThrottled
                        : kAccountThrottled,
             request_id, "Rate Exceeded.");
}

void BufferedCaller::part(std::string_view bytes) {
  // A runtime that streams may send more than a buffered caller can have: the rest is let go.
  too_large_ = too_large_ || body_.size() + bytes.size() > lambda::kPayloadBytesMax + 100;
  if (!too_large_) body_ += bytes;
}

void BufferedCaller::finish(const Completion& completion) {
  completion_ = completion;
  if (too_large_ && !completion_.failure) completion_.failure = too_large(request_id_);
}

void EventStreamCaller::begin(const AnswerHead&) { open(); }

void EventStreamCaller::open() {
  if (writer_.begun()) return;
  const http::Fields headers{{"Content-Type", std::string(kEventStreamType)},
                             {"x-amzn-RequestId", request_id_},
                             {"X-Amz-Executed-Version", "$LATEST"}};
  (void)writer_.begin(200, headers);
}

void EventStreamCaller::part(std::string_view bytes) { (void)writer_.write(payload_chunk(bytes)); }

void EventStreamCaller::finish(const Completion& completion) {
  if (completion.kind == Completion::Kind::kLost) return writer_.abort();
  if (completion.kind == Completion::Kind::kThrottled) {
    return send_throttled(writer_, completion, request_id_);
  }
  if (completion.kind == Completion::Kind::kUnavailable) {
    return send_error(writer_, kService, request_id_, completion.message);
  }
  open();
  const std::string tail = wants_tail_ ? lambda::base64_encode(completion.log_tail) : "";
  const std::string code = completion.failure ? completion.failure->type : "";
  const std::string details = completion.failure ? completion.failure->document : "";
  (void)writer_.write(invoke_complete(code, details, tail));
  (void)writer_.end();
}

void UrlCaller::begin(const AnswerHead& head) {
  head_ = head;
  if (!head.streamed || !streams_) return;
  if (http::same_name(head.content_type, lambda::kHttpIntegrationType)) {
    mode_ = Mode::kPrelude;
  } else {
    mode_ = Mode::kBody;
    open(200, {{"Content-Type", head.content_type}});
  }
}

void UrlCaller::part(std::string_view bytes) {
  switch (mode_) {
    case Mode::kWhole:
      too_large_ = too_large_ || held_.size() + bytes.size() > lambda::kPayloadBytesMax + 100;
      if (!too_large_) held_ += bytes;
      return;
    case Mode::kPrelude: held_ += bytes; return take_prelude(false);
    case Mode::kBody: (void)writer_.write(bytes); return;
    case Mode::kBroken: return;
  }
}

void UrlCaller::take_prelude(bool at_end) {
  const std::size_t end = held_.find(kPreludeEnd);
  if (end == held_.npos || end > kPreludeBytesMax) {
    if (at_end || held_.size() > kPreludeBytesMax + lambda::kPreludeEndBytes) {
      bad_gateway("its stream has no prelude that ends within 16 KB");
    }
    return;
  }
  auto head = url_prelude(std::string_view(held_).substr(0, end));
  if (!head) return bad_gateway(head.error().message);
  if (!head->headers.has("Content-Type")) {
    head->headers.add("Content-Type", "application/octet-stream");
  }
  mode_ = Mode::kBody;
  open(head->status, head->headers);
  const std::string rest = held_.substr(end + lambda::kPreludeEndBytes);
  held_.clear();
  if (mode_ == Mode::kBody && !rest.empty()) (void)writer_.write(rest);
}

http::Fields UrlCaller::completed(const http::Fields& headers) const {
  http::Fields all;
  for (const http::Field& field : headers) {
    if (!cors_ || !is_cors_field(field.name)) all.add(field.name, field.value);
  }
  if (cors_) {
    for (const http::Field& field : *cors_) all.add(field.name, field.value);
  }
  all.add("x-amzn-RequestId", request_id_);
  return all;
}

void UrlCaller::open(int status, const http::Fields& headers) {
  const auto begun = writer_.begin(status, completed(headers));
  if (!begun && begun.error().code == Code::kInvalid) bad_gateway(begun.error().message);
}

void UrlCaller::bad_gateway(std::string_view why) {
  mode_ = Mode::kBroken;
  log_(cat("function URL ", request_id_, ": ", why, "; the caller hears 502"));
  (void)writer_.send(502, {{"Content-Type", "text/plain"}, {"x-amzn-RequestId", request_id_}},
                     "Internal Server Error");
}

void UrlCaller::finish(const Completion& completion) {
  if (completion.kind == Completion::Kind::kLost) return writer_.abort();
  if (completion.kind == Completion::Kind::kThrottled) {
    return send_throttled(writer_, completion, request_id_);
  }
  if (completion.kind == Completion::Kind::kUnavailable) {
    return send_error(writer_, kService, request_id_, completion.message);
  }
  if (mode_ == Mode::kBroken) return;
  if (mode_ == Mode::kPrelude && !completion.failure) take_prelude(true);
  if (mode_ == Mode::kBroken) return;
  if (mode_ == Mode::kBody) {
    if (!completion.failure) {
      (void)writer_.end();
      return;
    }
    // Status and headers are out: all that is left to tell the caller is a broken connection.
    log_(cat("function URL ", request_id_, ": ", completion.failure->type,
             " in the middle of a stream; the connection is broken off"));
    return writer_.abort();
  }
  if (completion.failure) return bad_gateway(completion.failure->type);
  if (too_large_) return bad_gateway("Function.ResponseSizeTooLarge");
  answer_whole();
}

void UrlCaller::answer_whole() {
  UrlAnswer answer;
  if (head_.streamed && http::same_name(head_.content_type, lambda::kHttpIntegrationType)) {
    const std::size_t end = held_.find(kPreludeEnd);
    if (end == held_.npos) return bad_gateway("its stream has no prelude");
    auto head = url_prelude(std::string_view(held_).substr(0, end));
    if (!head) return bad_gateway(head.error().message);
    answer = {std::move(*head), held_.substr(end + lambda::kPreludeEndBytes)};
  } else if (head_.streamed) {
    answer = {{200, {{"Content-Type", head_.content_type}}}, std::move(held_)};
  } else {
    auto parsed = url_answer(held_);
    if (!parsed) return bad_gateway(parsed.error().message);
    answer = std::move(*parsed);
  }
  const auto sent = writer_.send(answer.head.status, completed(answer.head.headers), answer.body);
  if (!sent && sent.error().code == Code::kInvalid) bad_gateway(sent.error().message);
}

}  // namespace thaw::emulator
