#include "runtime/lambda/stream_responder.h"

#include <utility>

#include "base/str.h"
#include "runtime/lambda/protocol.h"

namespace thaw::lambda {

Result<Done> StreamResponder::begin(const handler::StreamHead& head) {
  if (begun_) return fail(Code::kIo, "stream: begun twice");
  const std::string target = cat(kInvocationPath, request_id_, "/response");
  http::Call call;
  call.method = "POST";
  call.target = target;
  call.headers.add(kResponseModeHeader, "streaming");
  call.headers.add("Content-Type", head.http ? kHttpIntegrationType : head.content_type);
  if (!head.timing.empty()) call.headers.add(kTimingHeader, head.timing);
  if (!invocation_id_.empty()) call.headers.add(kInvocationIdHeader, invocation_id_);
  const std::string trailers = cat(kErrorTypeHeader, ", ", kErrorBodyHeader);
  auto opened = transport_.begin_chunked(call, trailers);
  // A kept-alive connection may have died while it was idle. Nothing of the answer is lost by then.
  if (!opened && (opened.error().code == Code::kIo || opened.error().code == Code::kUnavailable)) {
    opened = transport_.begin_chunked(call, trailers);
  }
  // A stream that could not be begun leaves the way to a buffered error open.
  if (!opened) return opened;
  begun_ = true;
  if (!head.http) return Done{};
  return write(http_prelude(head));
}

Result<Done> StreamResponder::write(std::string_view bytes) {
  if (!begun_ || broken_) return fail(Code::kIo, "stream: not open");
  if (bytes.empty()) return Done{};
  if (too_large_ || bytes.size() > kStreamBytesMax - bytes_) {
    too_large_ = true;
    return fail(Code::kLimit, cat("stream: more than ", kStreamBytesMax, " bytes, Lambda's limit"));
  }
  bytes_ += bytes.size();
  auto written = transport_.write(bytes);
  if (!written) broken_ = true;
  return written;
}

Result<http::Response> StreamResponder::finish(
    const std::optional<handler::InvocationError>& error) {
  http::Fields trailers;
  if (error) {
    trailers.add(kErrorTypeHeader, header_error_type(error->type));
    trailers.add(kErrorBodyHeader, base64_encode(error_document(*error)));
  }
  return transport_.finish(trailers);
}

std::optional<int> StreamResponder::early_status() const {
  if (!begun_) return std::nullopt;
  const http::Response* answer = transport_.early_answer();
  if (answer == nullptr) return std::nullopt;
  return answer->status;
}

}  // namespace thaw::lambda
